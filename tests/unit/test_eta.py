"""When a run over many will be done: by what was measured, then by its own pace."""

from __future__ import annotations

from datetime import timedelta

from archiver.runs.eta import GIVE_BACK, PREPARE, Eta

PACE = Eta(rows=1_000_000, workers=2)


def test_at_first_it_goes_by_what_was_measured_and_by_its_workers() -> None:
    alone = Eta(rows=1_000_000, workers=1)

    assert PACE.left(timedelta(seconds=50), 0).total_seconds() == 1_000_000 * (PREPARE / 2 + GIVE_BACK)
    assert alone.left(timedelta(), 0).total_seconds() == 1_000_000 * (PREPARE + GIVE_BACK)


def test_then_it_goes_by_its_own_pace() -> None:
    left = PACE.left(timedelta(seconds=100), 500_000)

    assert left == timedelta(seconds=100) + PACE.deletion_time


def test_more_rows_than_were_expected_leave_only_what_is_given_back_for_them() -> None:
    assert PACE.left(timedelta(seconds=9), 2_000_000) == timedelta(seconds=2_000_000 * GIVE_BACK)
