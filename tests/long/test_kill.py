"""Killed at any instant and run again, a school ends where it would have; here a sample, `make torture` tries all."""

from __future__ import annotations

import random

import pytest

from inventory.catalog import DEFAULT_DEPTH
from tests.torture.kills import Blow, Kill, Matrix, Tried, behind_a_wire
from tests.torture.many import Many
from tests.worlds import World

ROUNDS = 3  # of two blows each
KILLS_OF_MANY = 3
SCHOOLS = (13, 17, 29)  # of two shards


@pytest.mark.parametrize(("school", "depth"), [(13, DEFAULT_DEPTH), (5, "students")])
def test_no_row_is_lost_when_runs_out_and_back_are_killed_and_run_again(world: World, school: int, depth: str) -> None:
    tried = sample(world, Kill(world), school, depth)

    assert sum(each.lost for each in tried) == 0, "\n".join(map(str, tried))


def test_no_row_is_lost_when_links_are_cut_out_and_back_and_run_again(world: World) -> None:
    with behind_a_wire(world) as cut:
        tried = sample(world, cut, 13, DEFAULT_DEPTH)

    assert sum(each.lost for each in tried) == 0, "\n".join(map(str, tried))


def test_a_run_over_many_schools_killed_and_run_again_loses_no_row(world: World) -> None:
    many = Many(world=world, schools=SCHOOLS, depth=DEFAULT_DEPTH)
    chosen = random.Random(2014).sample(range(len(many.moments)), KILLS_OF_MANY)

    tried = list(many.killed(chosen))

    assert sum(each.lost for each in tried) == 0, "\n".join(map(str, tried))


def sample(world: World, blow: Blow, school: int, depth: str) -> list[Tried]:
    matrix, chosen = Matrix(world=world, blow=blow, school=school, depth=depth), random.Random(school)
    archive_at, restore_at = (
        chosen.sample(range(len(matrix.moments[verb])), ROUNDS) for verb in ("archive", "restore")
    )
    return [each for pair in zip(archive_at, restore_at, strict=True) for each in matrix.round(*pair)]
