"""Killed at any instant of a merge or a split and run again, a school is where it should be: here a sample."""

from __future__ import annotations

import random
from collections.abc import Sequence

from tests.torture.moves import MERGE, SPLIT, alone
from tests.worlds import NewWorld

MORE = 1  # beside the commits


def test_killed_there_and_back_and_run_again_no_row_is_lost_or_live_twice(new_world: NewWorld, alike: str) -> None:
    with alone(new_world, alike) as moved:
        merge, split = (sample(moments) for moments in moved.both())

        for merge_at, split_at in zip(merge, split, strict=True):
            moved.forget()
            moved.strike(MERGE, merge_at)
            moved.strike(SPLIT, split_at)


def sample(moments: Sequence[str]) -> list[int]:
    """After each of the three commits of a move, and some more."""
    commits = [number for number, moment in enumerate(moments) if "COMMIT (moving" in moment and "after" in moment]
    assert len(commits) == 3, moments
    return [*commits, *random.Random(2014).sample(range(len(moments)), MORE)]
