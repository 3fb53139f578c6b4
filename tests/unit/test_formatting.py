"""Numbers as a person reads them."""

from __future__ import annotations

import pytest

from runbooks.cli.formatting import many, size


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (24_400, "24 kB"), (9_400_000, "9.4 MB"), (3 * 10**12, "3.0 TB")],
)
def test_bytes_have_two_digits_or_three_and_a_unit(count: int, said: str) -> None:
    assert size(count) == said


def test_one_is_no_plural() -> None:
    assert [many(count, "school") for count in (0, 1, 1300)] == ["0 schools", "1 school", "1,300 schools"]
