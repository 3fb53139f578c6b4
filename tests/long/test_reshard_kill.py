"""Broken off at any instant of a merge or a split and run again, a school is where it should be: here a sample."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from tests.torture.kills import Kill, behind_a_wire
from tests.torture.moves import MERGE, SPLIT, Moved, alone
from tests.worlds import NewWorld, World

MORE = 1  # kill beside the commits


@pytest.fixture
def world(new_world: NewWorld, alike: str) -> Iterator[World]:
    """A school alone on its shard."""
    with alone(new_world, alike) as world:
        yield world


def test_no_row_is_lost_or_live_twice_when_moves_there_and_back_are_killed_and_run_again(world: World) -> None:
    moved = Moved(world, Kill(world))

    strike(moved, *(sample(moments) for moments in moved.both()))


def test_no_row_is_lost_or_live_twice_when_answers_to_commits_of_moves_are_lost(world: World) -> None:
    with behind_a_wire(world) as cut:
        moved = Moved(world, cut)

        # The last commit of all only sees that nothing is left.
        strike(moved, *(commits(moments, "after COMMIT")[-4:-1] for moments in moved.both()))


def strike(moved: Moved, merge: Sequence[int], split: Sequence[int]) -> None:
    for merge_at, split_at in zip(merge, split, strict=True):
        moved.forget()
        moved.strike(MERGE, merge_at)
        moved.strike(SPLIT, split_at)


def sample(moments: Sequence[str]) -> list[int]:
    """After each of the three commits of a move, and some more."""
    three = [number for number in commits(moments, "COMMIT (moving") if moments[number].startswith("after")]
    assert len(three) == 3, moments
    return [*three, *random.Random(2014).sample(range(len(moments)), MORE)]


def commits(moments: Sequence[str], words: str) -> list[int]:
    return [number for number, moment in enumerate(moments) if words in moment]
