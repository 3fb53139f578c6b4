"""Times of a few tenants, made a rate."""

from __future__ import annotations

import pytest

from archiver.estimate import rates
from archiver.estimate.rates import Rate


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(100, 1.0), (300, 2.0)], Rate(tenant=0.5, row=0.005)),
        ([(100, 1.0)], Rate(tenant=0, row=0.01)),
        ([(100, 2.0), (300, 1.0)], Rate(tenant=0, row=3 / 400)),
        ([(0, 1.0)], Rate(tenant=0, row=1.0)),
    ],
)
def test_a_rate_is_a_tenants_seconds_and_a_rows(points: list[tuple[int, float]], expected: Rate) -> None:
    found = rates.fitted(points)

    assert (found.tenant, found.row) == pytest.approx((expected.tenant, expected.row))
