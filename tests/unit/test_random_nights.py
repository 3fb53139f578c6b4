"""A sample of the random nights that `make torture` plays by the thousand."""

from __future__ import annotations

import pytest

from tests.random_nights import faults


@pytest.mark.parametrize("seed", range(20))
def test_a_night_in_which_anything_goes_wrong_loses_no_debt_and_does_nothing_twice(seed: int) -> None:
    assert faults(seed) == []
