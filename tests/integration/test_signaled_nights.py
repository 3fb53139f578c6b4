"""Real processes of a night are sent signals at random; `make torture` plays fifty such nights."""

from __future__ import annotations

from pathlib import Path

from tests.signaled_nights import faults


def test_a_night_whose_processes_are_signaled_ends_done_and_owes_nothing(tmp_path: Path) -> None:
    assert faults(tmp_path, seed=0) == []
