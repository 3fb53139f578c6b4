"""Past months of a shard that was merged into another one since: they come back where its schools are."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from inventory.model import Fence
from tests import oracle
from tests.months import archive_months, restore_months
from tests.oracle import Snapshot
from tests.worlds import NewWorld, World, sql

DAY, MONTH = date(2014, 3, 5), "2014-01"


@pytest.mark.parametrize("merged", [True, False])
def test_months_from_before_a_merge_come_back_before_or_after_the_split(
    new_world: NewWorld, alike: str, tmp_path: Path, merged: bool
) -> None:
    with new_world(("master", "shard_3", "shard_4"), template=alike) as plain:
        fence = Fence(close=f"touch {tmp_path}/{{id}}", open=f"rm {tmp_path}/{{id}}")
        world = replace(plain, environment=replace(plain.environment, fence=fence))
        before = oracle.snapshot(world.dsns)
        archive_months(world, DAY)

        world.move_all("merge", "shard_4", "shard_3")
        for school in of_schools(world) if merged else ():
            restore_months(world, MONTH, school)
        world.move_all("split", "shard_3", "shard_4")
        restore_months(world, MONTH)  # of all that is left: rows of no school stay where they come back

        same_rows(before, oracle.snapshot(world.dsns))


def of_schools(world: World) -> list[int]:
    """The schools that have a slice."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT DISTINCT key::bigint FROM archiver.members WHERE key <> '0' ORDER BY 1")
        return [row[0] for row in cursor.fetchall()]


def same_rows(expected: Snapshot, found: Snapshot) -> None:
    """Rows only: sequences go on."""
    assert found.tables == expected.tables, oracle.difference(expected, replace(found, sequences=expected.sequences))
