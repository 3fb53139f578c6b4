"""A month's run beside a product that is at work, standbys that lag, and operators who stop it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extensions import connection as Connection  # noqa: N812 (a class, named like a function)
from pyrage import x25519

from archiver.delete.throttle import Throttle, lag
from archiver.postgres.session import Session
from archiver.records.holds import release
from errors import DamagedError, RefusedError, UsageError
from rehearsal.seed_plan import SCHOOL
from tests import oracle
from tests.months import Meanwhile, archive_months, restore_months
from tests.torture.judge import client
from tests.torture.months import judged
from tests.worlds import NewWorld, World, same, sql

SHARD = "shard_3"  # the school's
DAY, MONTH = date(2014, 3, 5), "2014-01"
DATABASES = ("master", SHARD)


def test_rows_that_change_after_verification_stay_live_with_their_whole_tree(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        lessons = due_lessons(world)
        changed, grown, lost, busy = lessons[:4]
        holding = psycopg2.connect(world.dsns[SHARD])

        def product() -> None:
            at(world, "UPDATE attempts SET answer = 'else' WHERE lesson_enrollment_id = %s", changed)
            at(
                world,
                "INSERT INTO hint_views (attempt_id, created_at) SELECT min(id), now() FROM attempts"
                " WHERE lesson_enrollment_id = %s",
                grown,
            )
            at(
                world,
                "DELETE FROM hint_views WHERE attempt_id IN (SELECT id FROM attempts WHERE lesson_enrollment_id = %s)",
                lost,
            )
            in_use(holding, busy)
            seen.append(oracle.snapshot(world.dsns))

        seen: list[oracle.Snapshot] = []
        [shard] = archive_months(world, DAY, throttle=Meanwhile(act=product))
        holding.close()
        [whole] = seen
        live = oracle.snapshot(world.dsns)

        assert shard.changed["shard/lesson_enrollments.copy"] == 4
        judged(world, whole, live)
        assert [number for number in lessons if there(world, number)] == sorted(lessons[:4])

        # The next run takes what is due of it.
        [again] = archive_months(world, DAY)
        judged(world, whole, oracle.snapshot(world.dsns))
        assert (again.deleted["shard/lesson_enrollments.copy"], there(world, grown)) == (3, True)
        restore_months(world, MONTH)
        same(whole, oracle.snapshot(world.dsns))


def test_a_row_added_later_for_a_deleted_one_is_reported(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        attempt = first(world, "SELECT min(id) FROM attempts WHERE lesson_enrollment_id = %s", due_lessons(world)[0])
        late = psycopg2.connect(world.dsns[SHARD])
        add = "INSERT INTO hint_views (attempt_id, created_at) VALUES (%s, now())"
        begun = Meanwhile(act=lambda: late.cursor().execute(add, (attempt,)))

        class Committing(Session):
            """A session whose commit lets a product's come first: its row was not seen, and no key forbids it."""

            def commit(self, *, doing: str) -> None:
                super().commit(doing=doing)
                if "deleting activity" in doing:
                    late.commit()

        with world.by_one_worker() as busy:
            assert busy.worker
            busy.worker.databases.session(SHARD).__class__ = Committing
            [shard] = archive_months(busy, DAY, throttle=begun)
        late.close()

        assert shard.appeared == {"shard.hint_views": 1}


def test_a_restored_school_is_on_hold_until_it_is_released(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world, world.by_one_worker() as busy:
        assert busy.worker
        before = oracle.snapshot(world.dsns)
        archive_months(busy, DAY)
        out = oracle.snapshot(world.dsns)
        busy.archive(SCHOOL)
        busy.restore(SCHOOL)
        back = oracle.snapshot(world.dsns)

        [shard] = archive_months(busy, DAY)
        same(back, oracle.snapshot(world.dsns))
        assert shard.on_hold == 1

        assert release(busy.worker.databases.master, SCHOOL) == [SCHOOL]
        archive_months(busy, DAY)
        same(out, oracle.snapshot(world.dsns))
        restore_months(busy, MONTH)
        same(before, oracle.snapshot(world.dsns))


def test_pretending_changes_nothing_and_lists_what_would_be_deleted(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world, world.by_one_worker() as busy:
        before = oracle.snapshot(world.dsns)
        [would] = archive_months(busy, DAY, pretend=True)
        same(before, oracle.snapshot(world.dsns))

        [did] = archive_months(busy, DAY)
        assert (would.deleted, would.tenants, would.held_back) == (did.deleted, did.tenants, did.held_back)


def test_a_run_that_is_stopped_reports_it_and_the_next_continues(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world, world.by_one_worker() as busy:
        before = oracle.snapshot(world.dsns)
        stopping = Meanwhile(act=lambda: None, batch=20)
        stopping.act = lambda: stopping_soon(stopping)

        [shard] = archive_months(busy, DAY, throttle=stopping)

        assert shard.stopped
        assert 0 < shard.deleted.total() < 200
        judged(world, before, oracle.snapshot(world.dsns))
        archive_months(busy, DAY)
        judged(world, before, oracle.snapshot(world.dsns))
        restore_months(busy, MONTH)
        same(before, oracle.snapshot(world.dsns))


def test_rows_are_deleted_no_faster_than_the_rate(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        slow = Throttle(rate=200, batch=20, seconds=1.5)
        [shard] = archive_months(world, DAY, throttle=slow)
        assert shard.stopped
        assert shard.deleted.total() <= 200 * 1.5 + 2 * 20 + 20


def test_a_slice_that_was_altered_in_the_store_is_not_restored(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        archive_months(world, DAY)
        live = oracle.snapshot(world.dsns)
        flip(world, SCHOOL)
        with pytest.raises(DamagedError, match="is not what was stored"):
            restore_months(world, MONTH, SCHOOL)
        same(live, oracle.snapshot(world.dsns))


def test_each_slice_is_encrypted_separately(new_world: NewWorld, tmp_path: Path) -> None:
    with new_world(DATABASES) as world:
        before, identity = oracle.snapshot(world.dsns), x25519.Identity.generate()
        store = replace(world.environment.store, recipients=(str(identity.to_public()),))
        encrypted = replace(world, environment=replace(world.environment, store=store))
        archive_months(encrypted, DAY)
        live = oracle.snapshot(world.dsns)

        with pytest.raises(UsageError, match="is encrypted, and no identity was given"):
            restore_months(encrypted, MONTH)
        same(live, oracle.snapshot(world.dsns))

        (tmp_path / "identity").write_text(str(identity))
        restore_months(replace(encrypted, identity=str(tmp_path / "identity")), MONTH)
        same(before, oracle.snapshot(world.dsns))


def test_a_school_whose_tables_were_migrated_gets_its_months_into_todays(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        hints = first(world, "SELECT count(*) FROM hint_views WHERE %s = 0", 0)
        archive_months(world, DAY)
        migrate(world)

        restore_months(world, MONTH)

        assert first(world, "SELECT count(*) FROM hint_views WHERE %s = 0", 0) == hints


def test_a_table_that_is_migrated_meanwhile_stops_the_deletion_and_the_next_run_continues(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        whole = first(world, "SELECT count(*) FROM hint_views WHERE %s = 0", 0)
        migrating = Meanwhile(act=lambda: migrate(world))
        with pytest.raises(RefusedError, match="has changed since its rows were archived"):
            archive_months(world, DAY, throttle=migrating)
        assert first(world, "SELECT count(*) FROM hint_views WHERE %s = 0", 0) == whole

        archive_months(world, DAY)
        restore_months(world, MONTH)
        assert first(world, "SELECT count(*) FROM hint_views WHERE seconds = %s", 3) == whole


def test_a_role_that_may_not_see_standbys_is_reported_before_anything_is_done(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world, world.archiver() as archiver:
        session = archiver.databases.master
        assert lag(session) == 0

        class Blind(Session):
            """pg_stat_replication as a role without pg_monitor sees it: a standby, and nothing of it."""

            def row(self, *args: Any, **words: Any) -> Any:
                return (1, 0, 0, "archiver")

        session.__class__ = Blind
        with pytest.raises(UsageError, match="may not read how far the standbys"):
            lag(session)
        session.__class__ = Session


def migrate(world: World) -> None:
    """A column more, with a value in every row."""
    with sql(world, SHARD) as cursor:
        cursor.execute("ALTER TABLE hint_views ADD COLUMN seconds integer DEFAULT 3")


def stopping_soon(throttle: Meanwhile) -> None:
    """End the run after two more batches."""
    throttle.act, throttle.waits = lambda: throttle.stop.set(), -1


def in_use(holding: Connection, lesson: int) -> None:
    """The product's transaction on a lesson, which is open for as long as it likes."""
    holding.cursor().execute("SELECT FROM lesson_enrollments WHERE id = %s FOR NO KEY UPDATE", (lesson,))


def due_lessons(world: World) -> list[int]:
    """Lessons of the school that are due, each by itself: their enrollments stay."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM classrooms WHERE school_id = %s", (SCHOOL,))
        classrooms = [row[0] for row in cursor.fetchall()]
    with sql(world, SHARD) as cursor:
        cursor.execute(
            "SELECT l.id FROM lesson_enrollments l JOIN enrollments e ON e.id = l.enrollment_id"
            " WHERE e.classroom_id = ANY(%s) AND e.status = 'active' AND l.status = 'completed'"
            "   AND l.ended_at < '2014-02-01' AND NOT EXISTS (SELECT FROM attempts a JOIN hint_views h"
            " ON h.attempt_id = a.id WHERE a.lesson_enrollment_id = l.id AND h.created_at > '2014-02-01')"
            " ORDER BY l.id",
            (classrooms,),
        )
        return [row[0] for row in cursor.fetchall()]


def there(world: World, lesson: int) -> bool:
    return bool(first(world, "SELECT count(*) FROM lesson_enrollments WHERE id = %s", lesson))


def at(world: World, statement: str, number: int) -> None:
    with sql(world, SHARD) as cursor:
        cursor.execute(statement, (number,))
        assert cursor.rowcount, statement


def first(world: World, query: str, number: int) -> Any:
    with sql(world, SHARD) as cursor:
        cursor.execute(query, (number,))
        return cursor.fetchall()[0][0]


def flip(world: World, school: int) -> None:
    """Turn a bit of a school's slice over in the store."""
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT location, start FROM archiver.archives m"
            " JOIN archiver.members s ON (s.kind, s.archive_id) = (m.kind, m.id) WHERE s.key = %s::text",
            (school,),
        )
        [(location, start)] = cursor.fetchall()
    bucket, _, key = location.removeprefix("s3://").partition("/")
    store = client(world.environment.store)
    data = bytearray(store.get_object(Bucket=bucket, Key=key)["Body"].read())
    data[start + 100] ^= 1
    store.put_object(Bucket=bucket, Key=key, Body=bytes(data))
