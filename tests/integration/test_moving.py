"""A shard merged into another one and split off again: every row as it was, whatever ids the two had in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inventory.model import Fence
from tests import oracle, oracle_moved
from tests.oracle import Snapshot
from tests.worlds import SHARDS, NewWorld, World, sql


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that has a file for each fenced school."""
    (tmp_path / "closed").mkdir()
    return tmp_path / "closed"


def fenced(world: World, closed: Path) -> World:
    fence = Fence(close=f"touch {closed}/{{id}}", open=f"rm {closed}/{{id}}")
    return replace(world, environment=replace(world.environment, fence=fence))


@pytest.fixture
def same_ids(new_world: NewWorld, alike: str, closed: Path) -> Iterator[World]:
    """A world in which every table of every shard has the same ids, and polymorphic pairs of several kinds."""
    with new_world(template=alike) as world:
        for shard in SHARDS:
            with sql(world, shard) as cursor:
                cursor.execute(KINDS)
        yield fenced(world, closed)


# Rows whose number is none of the shard's: the class that stands beside it says so.
KINDS = """
INSERT INTO enrollment_activity_attemptables (enrollment_activity_id, attemptable_type, attemptable_id)
SELECT a.id, k.kind, 3 FROM enrollment_activities a, unnest(ARRAY['Contest', NULL]) k (kind)
"""


def same_rows(expected: Snapshot, found: Snapshot) -> None:
    """Rows only: sequences go on."""
    assert found.tables == expected.tables, oracle.difference(expected, replace(found, sequences=expected.sequences))


def test_four_shards_with_the_same_ids_become_one_and_four_again(same_ids: World) -> None:
    before = [oracle.snapshot(same_ids.dsns)]
    with same_ids.by_one_worker() as busy:
        for shard in SHARDS[1:]:
            busy.carry("merge", shard, "shard_1")
            expected = oracle_moved.after_merging(same_ids, before[-1], shard, "shard_1")
            before.append(oracle.snapshot(same_ids.dsns))
            same_rows(expected, before[-1])
            assert all(oracle_moved.moved(same_ids, shard, "shard_1").values())
        for shard in reversed(SHARDS[1:]):
            busy.carry("split", "shard_1", shard)

    after = oracle.snapshot(same_ids.dsns)
    same_rows(before[0], after)
    for database, sequences in before[0].sequences.items():
        assert all((after.sequences[database][name] or 0) >= (last or 0) for name, last in sequences.items())
