"""Archiving while the application goes on writing; `make torture` does it two hundred times."""

from __future__ import annotations

from tests.torture.hammered import hammered
from tests.worlds import World

RUNS = 6


def test_under_writers_a_school_is_archived_whole_or_refused_by_name(world: World) -> None:
    done = [hammered(world, 13, "shard_3", seed) for seed in range(RUNS)]

    assert sum(each.lost for each in done) == 0
    assert sum(each.writes for each in done)
    assert any(each.refused for each in done)
    assert not all(each.refused for each in done)
