"""Deletions that a shard committed and a set-back master forgot are finished or refused, whatever its record says.

Master is set back at psql, a shard by a logical dump of an earlier moment on another server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import date

import pytest

from archiver.delete import batches
from archiver.records import resolve
from errors import RefusedError
from rehearsal.postgres_server import Cluster
from rehearsal.seed_plan import SCHOOL
from tests.cases.attack_servers import moved, younger
from tests.cases.attack_world import DATABASES, HERE, classrooms, count, dies, rows, run, until_it_dies
from tests.killed import before_master_commits
from tests.months import archive_months, restore_months
from tests.worlds import NewWorld, World, drop

THERE = "shard_1"
DAY, MONTH = date(2014, 3, 5), "2014-01"
OTHER = 61  # a school of the same shard
TO_THE_PROOF = "UPDATE archiver.archives SET state = 'verified' WHERE kind = 'tenant' AND state = 'deleting'"


@pytest.fixture(scope="module")
def other(cluster: Cluster) -> Iterator[Cluster]:
    """A second server."""
    with younger(cluster) as other:
        yield other


@pytest.fixture
def world(new_world: NewWorld) -> Iterator[World]:
    """Master and the shard of the school."""
    with new_world(DATABASES) as world:
        yield world


def enrollments(world: World, ids: str) -> int:
    """Return the number of enrollments in these classrooms."""
    return count(world, HERE, f"enrollments WHERE classroom_id IN ({ids})")


def half_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Archive the school until its shard has committed."""
    with before_master_commits(monkeypatch, dies), until_it_dies():
        world.archive(SCHOOL)


def test_a_run_over_many_finishes_what_master_forgot_of_a_run_on_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = classrooms(world)
    before = enrollments(world, ids)
    half_deleted(world, monkeypatch)
    run(world, "master", TO_THE_PROOF)

    world.archive_together(SCHOOL, OTHER)
    world.restore(SCHOOL)

    assert enrollments(world, ids) == before


def test_a_record_that_does_not_say_what_is_in_its_archive_is_refused_and_the_archive_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_deleted(world, monkeypatch)
    run(
        world,
        "master",
        "UPDATE archiver.archives SET state = 'extracting', members = '{}', size = NULL, sha256 = NULL"
        " WHERE kind = 'tenant'",
    )
    [(location,)] = rows(world, "master", "SELECT location FROM archiver.archives WHERE kind = 'tenant'")

    with pytest.raises(RefusedError, match=f"{location}.*master was set back"):
        world.archive(SCHOOL)

    assert rows(world, "master", "SELECT location FROM archiver.archives WHERE kind = 'tenant'") == [(location,)]


def test_everything_on_a_shard_is_refused_while_master_has_no_record_of_a_deletion(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.archive(OTHER)
    half_deleted(world, monkeypatch)
    [(location,)] = rows(
        world, "master", f"SELECT location FROM archiver.archives WHERE kind = 'tenant' AND key = '{SCHOOL}'"
    )
    run(world, "master", f"DELETE FROM archiver.archives WHERE kind = 'tenant' AND key = '{SCHOOL}'")

    others = [row[0] for row in rows(world, "master", f"SELECT id FROM schools WHERE shard = '{HERE}'")]

    for act in (
        lambda: world.archive(SCHOOL),
        lambda: world.archive(SCHOOL, pretend=True),
        lambda: world.restore(OTHER),
        lambda: world.restore(SCHOOL),  # which has no record, nor is it live
        lambda: restore_months(world, MONTH),  # of which nothing was archived
        lambda: world.archive_together(*others),
    ):
        with pytest.raises(RefusedError, match=f"{HERE} shows a deletion of .* {location} holds the rows"):
            act()
    with pytest.raises(RefusedError, match="master was set back"):
        archive_months(world, DAY)
    run(world, HERE, "UPDATE archiver.markers SET content = content - 'location'")  # as older versions wrote it
    with pytest.raises(RefusedError, match=f"No record names: {location}"):
        world.archive(SCHOOL)


def test_a_master_from_before_the_first_archive_of_all_knows_nothing_and_the_archive_is_named(world: World) -> None:
    world.archive(SCHOOL)
    [(location,)] = rows(world, "master", "SELECT location FROM archiver.archives WHERE kind = 'tenant'")
    run(world, "master", "DROP SCHEMA archiver CASCADE")

    with pytest.raises(RefusedError, match=f"{HERE} shows a deletion of .* {location} holds the rows"):
        world.restore(SCHOOL)


def test_the_only_archive_of_rows_is_not_dropped_though_master_calls_it_verified(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    half_deleted(world, monkeypatch)
    run(world, "master", TO_THE_PROOF)
    with world.archiver() as archiver:
        record = resolve.one_to_drop(archiver.databases, SCHOOL, None)
        with (
            archiver.databases.tenant_lock(SCHOOL, HERE),
            pytest.raises(RefusedError, match="changed in the meantime; nothing was dropped"),
        ):
            drop(archiver, record)
        assert archiver.bucket.key(record.location) in set(archiver.bucket.keys())


def test_no_school_is_refused_because_of_markers_of_restored_and_dropped_ones(world: World) -> None:
    """Of databases of yesterday, too, whose log does not say when a record began."""
    world.archive(SCHOOL, OTHER)
    world.restore(SCHOOL)
    with world.archiver() as archiver, archiver.databases.tenant_lock(OTHER, HERE):
        drop(archiver, resolve.one_to_drop(archiver.databases, OTHER, None))
    world.archive(SCHOOL)
    world.restore(SCHOOL)
    run(world, HERE, "DELETE FROM archiver.markers WHERE act = 'restored'")
    run(
        world,
        "master",
        "ALTER TABLE archiver.log DISABLE TRIGGER USER;"
        "UPDATE archiver.log SET details = details - 'started_at' - 'shard';"
        "ALTER TABLE archiver.log ENABLE TRIGGER USER",
    )

    world.archive(SCHOOL)
    archive_months(world, DAY)


def test_a_shard_that_was_set_back_behind_a_restore_is_refused_and_the_archive_named(
    world: World, other: Cluster
) -> None:
    """All archives are named, and not only the first one that was restored."""
    world.archive(SCHOOL, OTHER)
    first, second = rows(world, "master", "SELECT location FROM archiver.archives WHERE kind = 'tenant' ORDER BY id")
    earlier = moved(world, HERE, other)
    world.restore(SCHOOL, OTHER)

    now = replace(world, environment=earlier.environment, dsns=earlier.dsns)

    named = f"{first[0]}, {second[0]} hold the rows"
    with pytest.raises(RefusedError, match=f"{HERE} was set back: .*, and 1 more that was restored since. {named}"):
        now.archive(SCHOOL)


def test_a_school_is_restored_to_a_shard_that_was_set_back_behind_its_deletion(world: World, other: Cluster) -> None:
    ids = classrooms(world)
    before = enrollments(world, ids)
    earlier = moved(world, HERE, other)
    world.archive(SCHOOL)

    now = replace(world, environment=earlier.environment, dsns=earlier.dsns)
    [restored] = now.restore(SCHOOL)

    assert enrollments(now, ids) == before
    assert restored.result()["shard.enrollments"].there == before


@pytest.mark.parametrize("state", ["stored", "verified"])
def test_a_month_whose_deletion_master_forgot_is_finished(
    world: World, monkeypatch: pytest.MonkeyPatch, state: str
) -> None:
    attempts = count(world, HERE, "attempts")
    with monkeypatch.context() as patch, until_it_dies():
        patch.setattr(batches, "close", dies)
        archive_months(world, DAY)
    run(world, "master", f"UPDATE archiver.archives SET state = '{state}' WHERE kind = 'month'")

    restored_nothing_yet = count(world, HERE, "attempts")
    archive_months(world, DAY)
    assert restored_nothing_yet < attempts
    restore_months(world, MONTH)

    assert count(world, HERE, "attempts") == attempts
