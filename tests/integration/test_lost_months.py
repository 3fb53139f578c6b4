"""A month whose object is lost costs only its rows, and these only until the object is there again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

import pytest

from archiver.records import audit_log
from archiver.store.bucket import Bucket, StorageError, file_digests
from errors import CutoverError, DamagedError, Problems
from rehearsal.seed_plan import SCHOOL
from runbooks.archives.restore_plan import plan_lines
from tests import oracle
from tests.months import archive_months, restore_months
from tests.oracle import Snapshot
from tests.worlds import NewWorld, World, same, sql

DATABASES = ("master", "shard_3")
EARLIER, LATER = date(2013, 12, 5), date(2014, 9, 5)


@pytest.fixture
def world(new_world: NewWorld) -> Iterator[World]:
    with new_world(DATABASES) as world, world.by_one_worker() as busy:
        yield busy


def key_of(world: World, bucket: Bucket, month: str) -> str:
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT location FROM archiver.archives WHERE kind = 'month' AND key::jsonb #>> '{}' = %s", (month,)
        )
        [[location]] = cursor.fetchall()
    return bucket.key(location)


def gone(bucket: Bucket, key: str, path: Path) -> None:
    """A person deletes the object."""
    bucket.delete(key)


def truncated(bucket: Bucket, key: str, path: Path) -> None:
    """A person puts the first bytes of the object in its place."""
    bucket.delete(key)
    cut = path.with_suffix(".cut")
    cut.write_bytes(path.read_bytes()[:700])
    bucket.put(key, cut, file_digests(cut))


def swapped(bucket: Bucket, key: str, path: Path) -> None:
    """A person puts other bytes of the same length there."""
    bucket.delete(key)
    other = path.with_suffix(".other")
    other.write_bytes(bytes(path.stat().st_size))
    bucket.put(key, other, file_digests(other))


def put_back(bucket: Bucket, key: str, path: Path) -> None:
    bucket.delete(key)
    bucket.put(key, path, file_digests(path))


def differing(first: Snapshot, second: Snapshot) -> set[str]:
    """Return the tables of the shard that differ."""
    before, after = first.tables["shard_3"], second.tables["shard_3"]
    return {name for name in before if before[name] != after[name]}


@pytest.mark.parametrize("lose", [gone, truncated, swapped])
def test_all_but_the_lost_month_comes_back_and_that_month_once_its_object_is_there(
    world: World, tmp_path: Path, lose: Callable[[Bucket, str, Path], None]
) -> None:
    before, bucket, path = oracle.snapshot(world.dsns), Bucket(world.environment.store), tmp_path / "object"
    for day in (EARLIER, LATER):
        archive_months(world, day)
    away = oracle.snapshot(world.dsns)
    world.archive(SCHOOL)
    archived, key = oracle.snapshot(world.dsns), key_of(world, bucket, "2013-10")
    bucket.get(key, path)
    lose(bucket, key, path)

    with pytest.raises((DamagedError, StorageError)) as stopped:
        world.restore(SCHOOL)
    assert f"inv restore.school {SCHOOL} --year=2013 --without-month=2013-10" in stopped.value.hint
    same(archived, oracle.snapshot(world.dsns))
    with pytest.raises(Problems, match="these months do not come with it"):
        world.restore(SCHOOL, without=["2013-10", "2011-01", "2014-08"])
    same(archived, oracle.snapshot(world.dsns))

    world.restore(SCHOOL, without=["2013-10"])

    assert recorded(world) == ["2013-10"]
    back = oracle.snapshot(world.dsns)
    assert differing(back, away)  # of the later month
    assert differing(back, before)
    with world.archiver() as archiver:
        [entry] = audit_log.entries(archiver.databases.master, SCHOOL, None, "restore")
    assert entry.details["left archived"] == [f"2013-10 in {bucket.location(key)}"]
    with pytest.raises(CutoverError):
        restore_months(world, "2013-10", SCHOOL)
    same(back, oracle.snapshot(world.dsns))

    put_back(bucket, key, path)
    restore_months(world, "2014-07")
    restore_months(world, "2013-10")

    same(before, oracle.snapshot(world.dsns))


def test_a_plan_shows_each_month_with_its_rows_and_what_is_in_the_way(world: World) -> None:
    bucket = Bucket(world.environment.store)
    for day in (EARLIER, LATER):
        archive_months(world, day)
    world.archive(SCHOOL)
    archived, plan = oracle.snapshot(world.dsns), world.plan(SCHOOL)
    assert [month.slice.month.month for month in plan.months] == ["2014-07", "2013-10"]
    for month in plan.months:  # the parents of its rows are in the archive, or in the other month
        assert not month.refused
        assert sum(table.inserted for table in month.comparison.tables.values()) == month.slice.deleted_rows > 0
    key = key_of(world, bucket, "2013-10")
    bucket.delete(key)

    plan = world.plan(SCHOOL)

    assert [month.refused for month in plan.months] == [False, True]
    lines = "\n".join(plan_lines("school", plan))
    assert f"month 2013-10, {plan.months[1].slice.deleted_rows:,} rows in {bucket.location(key)}" in lines
    assert "--without-month=2013-10" in lines
    assert lines.endswith("It would be REFUSED.")
    same(archived, oracle.snapshot(world.dsns))


def test_a_school_that_is_archived_again_keeps_its_lost_month(world: World, tmp_path: Path) -> None:
    before, bucket, path = oracle.snapshot(world.dsns), Bucket(world.environment.store), tmp_path / "object"
    archive_months(world, LATER)
    world.archive(SCHOOL)
    key = key_of(world, bucket, "2014-07")
    bucket.get(key, path)
    gone(bucket, key, path)
    world.restore(SCHOOL, without=["2014-07"])
    world.archive(SCHOOL, year=2014, night=None)  # the second night

    with pytest.raises(StorageError, match="no such object"):
        world.restore(SCHOOL)
    put_back(bucket, key, path)
    world.restore(SCHOOL)

    restore_months(world, "2014-07")
    same(before, oracle.snapshot(world.dsns))


def recorded(world: World) -> list[str]:
    """The months of which the school's slices are recorded."""
    query = (
        "SELECT m.key::jsonb #>> '{}' FROM archiver.archives m"
        " JOIN archiver.members s ON (s.kind, s.archive_id) = (m.kind, m.id) WHERE s.key = %s::text"
    )
    with sql(world, "master") as cursor:
        cursor.execute(query, (SCHOOL,))
        return [row[0] for row in cursor.fetchall()]
