"""Archiving while the application goes on writing; `make torture` does it two hundred times."""

from __future__ import annotations

from rehearsal.seed_plan import SCHOOL
from rehearsal.waiting import await_condition
from tests import oracle
from tests.torture.hammered import hammered
from tests.torture.writers import OF_ONE_SCHOOL, hammering
from tests.worlds import World

SHARD = "shard_3"
NEIGHBOUR = 61  # on the same shard, and shares no user with the other
RUNS = 4


def test_a_school_under_writers_is_archived_whole_or_refused_by_name(world: World) -> None:
    done = [hammered(world, SCHOOL, SHARD, seed) for seed in range(RUNS)]

    assert sum(each.lost for each in done) == 0
    assert sum(each.writes for each in done)
    assert any(each.refused for each in done)  # where they write from the start


def test_writers_at_another_school_neither_hinder_an_archive_nor_lose_a_row_to_it(world: World) -> None:
    left = oracle.expected_after_archive(world.dsns, SCHOOL, "all")
    with hammering(world, NEIGHBOUR, SHARD, seed=0, master=OF_ONE_SCHOOL) as hammer:
        await_condition(lambda: hammer.writes, doing="Waiting for the first write", seconds=60)
        world.archive(SCHOOL)

    assert oracle.snapshot(world.dsns).tables == hammer.after(left).tables
