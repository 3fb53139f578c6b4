"""Databases that fall back behind what they had confirmed, or are other servers by now: no row is lost by it.

Master's fall is made at psql: what the lost transactions had written there is set back to what stood before, while the
shards keep theirs. That is what a standby that lagged, a crash under `synchronous_commit = off` and a restore to an
earlier moment leave; a second server would say the same, at a higher price. Where row versions are the matter there is
a second server: a younger one on which a database is restored from a logical dump, and whose transaction ids are
behind.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from archiver.delete import batches as by_month
from archiver.delete import many as delete_many
from archiver.reshard import move
from archiver.runs import archive_many
from errors import RefusedError, UsageError
from inventory.keys import Key
from inventory.model import Fence
from rehearsal.postgres_server import Cluster
from rehearsal.seed_plan import SCHOOL
from tests.cases.attack_servers import moved, reach, younger
from tests.cases.attack_world import (
    DATABASES,
    FEW,
    HERE,
    before,
    classrooms,
    count,
    dies,
    given,
    quietly,
    rows,
    run,
    together,
    until_it_dies,
)
from tests.killed import before_master_commits
from tests.months import archive_months, restore_months
from tests.worlds import NewWorld, World

THERE = "shard_1"
DAY, MONTH = date(2014, 3, 5), "2014-01"
# What of a record a master still holds that has lost `deleting`, or the record's beginning.
FALLS = {
    "to the proof": "UPDATE archiver.archives SET state = 'verified' WHERE kind = 'tenant' AND state = 'deleting'",
    "behind the record": "DELETE FROM archiver.archives WHERE kind = 'tenant'",
}


def refused(error: Exception | None) -> bool:
    """True if the tool reported a refusal, with nothing touched."""
    return isinstance(error, RefusedError | UsageError)


def enrollments(world: World, shard: str = HERE) -> int:
    """Return the number of the school's enrollments on a shard."""
    return count(world, shard, f"enrollments WHERE classroom_id IN ({classrooms(world)})")


def test_a_move_whose_end_master_lost_is_not_reverted(
    new_world: NewWorld, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Target, master and source have committed; then master falls back behind its own commit."""
    with new_world((*DATABASES, THERE)) as bare:
        run(bare, "master", f"UPDATE schools SET shard = '{THERE}' WHERE id <> {SCHOOL}")
        fence = Fence(close=f"touch {tmp_path}/{{id}}", open=f"rm -f {tmp_path}/{{id}}")
        world = replace(bare, environment=replace(bare.environment, fence=fence))
        whole_school = enrollments(world)
        with monkeypatch.context() as patch, until_it_dies():
            patch.setattr(move, "end", dies)
            world.move_all("merge", HERE, THERE)
        given((enrollments(world), enrollments(world, THERE)) == (0, whole_school), "a school that has moved")
        cluster.sql(
            f"UPDATE schools SET shard = '{HERE}' WHERE id = {SCHOOL};"
            "UPDATE archiver.archives SET state = 'loading', switched_at = NULL WHERE kind = 'move';"
            "ALTER TABLE archiver.log DISABLE TRIGGER USER; DELETE FROM archiver.log;"
            "ALTER TABLE archiver.log ENABLE TRIGGER USER",
            dbname=world.environment.databases["master"].connection["dbname"],
        )
        named = rows(world, "master", "SELECT location FROM archiver.archives WHERE kind = 'move'")

        quietly(lambda: world.move_all("merge", HERE, THERE))

        assert enrollments(world) + enrollments(world, THERE) == whole_school
        assert set(named) <= set(rows(world, "master", "SELECT location FROM archiver.archives WHERE kind = 'move'"))


@pytest.mark.parametrize("fall", FALLS)
def test_a_deletion_that_only_the_shard_recorded_is_finished_or_refused(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, fall: str
) -> None:
    with new_world(DATABASES) as world:
        whole_school = enrollments(world)
        with before_master_commits(monkeypatch, dies), until_it_dies():
            world.archive(SCHOOL)
        run(world, "master", FALLS[fall])
        given(enrollments(world) == 0 and count(world, HERE, "archiver.markers"), "an emptied shard")

        if not refused(quietly(lambda: world.archive(SCHOOL))):
            world.restore(SCHOOL)
            assert enrollments(world) == whole_school


def test_a_set_of_deletions_that_only_the_shard_recorded_is_finished_or_refused(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_world(DATABASES) as world:
        whole_school = enrollments(world)
        with monkeypatch.context() as patch, until_it_dies():
            patch.setattr(archive_many, "_empty_master", dies)
            world.archive_together(*FEW)
        run(world, "master", FALLS["behind the record"])
        given(enrollments(world) == 0 and count(world, HERE, "archiver.markers"), "an emptied shard")

        if not refused(quietly(lambda: world.archive_together(*FEW))):
            world.restore(SCHOOL)
            assert enrollments(world) == whole_school


def test_a_set_of_deletions_whose_state_master_lost_is_reported_once(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_world(DATABASES) as world:
        with monkeypatch.context() as patch, until_it_dies():
            patch.setattr(archive_many, "_empty_master", dies)
            world.archive_together(*FEW)
        run(world, "master", FALLS["to the proof"])

        told = Counter[Key]()
        quietly(lambda: world.archive_together(*FEW, on_result=lambda one: told.update([one.item])))

        assert max(told.values(), default=1) == 1, told


def test_a_month_that_only_the_shard_recorded_is_finished_or_refused(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    with new_world(DATABASES) as world:
        attempts = count(world, HERE, "attempts")
        with monkeypatch.context() as patch, until_it_dies():
            patch.setattr(by_month, "close", dies)
            archive_months(world, DAY)
        run(world, "master", "DELETE FROM archiver.archives WHERE kind = 'month'")
        given(count(world, HERE, "attempts") < attempts and count(world, HERE, "archiver.markers"), "rows that went")

        if not refused(quietly(lambda: archive_months(world, DAY))):
            restore_months(world, MONTH)
            assert count(world, HERE, "attempts") == attempts


@pytest.mark.parametrize("database", DATABASES)
def test_every_session_waits_until_its_commits_are_written(new_world: NewWorld, database: str) -> None:
    with new_world(DATABASES) as world:
        name = world.environment.databases[database].connection["dbname"]
        run(world, database, f"ALTER DATABASE {name} SET synchronous_commit = off")
        given(rows(world, database, "SHOW synchronous_commit") == [("off",)], "a database that does not wait")
        with world.archiver() as archiver:
            [found] = archiver.databases.session(database).row("SHOW synchronous_commit")
        assert found != "off"


@pytest.fixture(scope="module")
def other(cluster: Cluster) -> Iterator[Cluster]:
    """A younger server."""
    with younger(cluster) as other:
        yield other


def transaction(world: World, database: str) -> int:
    """The next transaction id of a database's server."""
    return int(rows(world, database, "SELECT pg_current_xact_id()::text")[0][0])


def test_rows_that_changed_on_a_replacement_server_are_not_taken_for_unchanged(
    new_world: NewWorld, cluster: Cluster, other: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run ends after its proofs; the shard is restored elsewhere, written to, and gets as far as the snapshot."""
    with new_world(DATABASES) as world:
        reach(world.dsns[HERE], 2000)
        with monkeypatch.context() as patch, until_it_dies():
            before(patch, delete_many, "empty_shard", dies)
            world.archive_together(*FEW)
        now = moved(world, HERE, other)
        written = f"enrollments WHERE status = 'written since' AND classroom_id IN ({classrooms(now)})"
        run(now, HERE, f"UPDATE enrollments SET status = 'written since' WHERE classroom_id IN ({classrooms(now)})")
        many = count(now, HERE, written)
        given(transaction(now, HERE) < transaction(world, HERE) and many, "rows with row versions before the proof's")
        reach(now.dsns[HERE], transaction(world, HERE))

        together(now, *FEW)

        if not count(now, "master", f"schools WHERE id = {SCHOOL}"):
            now.restore(SCHOOL)
        assert count(now, HERE, written) == many


@pytest.mark.parametrize("reached", [False, True])
def test_a_resumed_deletion_does_not_take_rows_for_unchanged_on_another_server(
    new_world: NewWorld, cluster: Cluster, other: Cluster, monkeypatch: pytest.MonkeyPatch, reached: bool
) -> None:
    """The shard is emptied; master is restored elsewhere, and written to, before its half of the deletion."""
    with new_world(DATABASES) as world:
        reach(world.dsns["master"], 2000)
        with monkeypatch.context() as patch, until_it_dies():
            patch.setattr(archive_many, "_empty_master", dies)
            world.archive_together(*FEW)
        now = moved(world, "master", other)
        run(now, "master", f"UPDATE classrooms SET name = 'written since' WHERE school_id = {SCHOOL}")
        written = f"classrooms WHERE name = 'written since' AND school_id = {SCHOOL}"
        many = count(now, "master", written)
        given(transaction(now, "master") < transaction(world, "master") and many, "row versions before the proof's")
        if reached:
            reach(now.dsns["master"], transaction(world, "master"))

        quietly(lambda: now.archive(SCHOOL))

        if not count(now, "master", f"schools WHERE id = {SCHOOL}"):
            now.restore(SCHOOL)
        assert count(now, "master", written) == many
