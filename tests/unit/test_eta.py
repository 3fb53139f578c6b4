"""The expected end of a run over many: by earlier measurements, then by its own pace."""

from __future__ import annotations

from datetime import timedelta

from archiver.runs.eta import GIVE_BACK, PREPARE, Eta

PACE = Eta(rows=1_000_000, workers=2)


def test_at_first_the_eta_uses_earlier_measurements_and_the_workers() -> None:
    alone = Eta(rows=1_000_000, workers=1)

    assert PACE.left(timedelta(seconds=50), 0).total_seconds() == 1_000_000 * (PREPARE / 2 + GIVE_BACK)
    assert alone.left(timedelta(), 0).total_seconds() == 1_000_000 * (PREPARE + GIVE_BACK)


def test_later_the_eta_uses_the_runs_own_pace() -> None:
    left = PACE.left(timedelta(seconds=100), 500_000)

    assert left == timedelta(seconds=100) + PACE.deletion_time


def test_more_rows_than_expected_leave_only_the_extra_time_for_them() -> None:
    assert PACE.left(timedelta(seconds=9), 2_000_000) == timedelta(seconds=2_000_000 * GIVE_BACK)
