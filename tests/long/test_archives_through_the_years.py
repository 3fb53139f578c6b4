"""Living with archives: listed, opened, asked, proved again, found by an id, dropped; and the log of it all."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg2
import pytest

from archiver.checks.unreferenced import unreferenced_objects
from archiver.format.encryption import Keys
from archiver.kinds import registry
from archiver.postgres.session import connect
from archiver.records import archive_record, audit_log, id_index, resolve
from archiver.records.archive_record import Record
from archiver.records.archives import ArchiveRecord
from archiver.records.state import State
from archiver.runs import inspect, reverify, setup
from archiver.runs.context import Archiver
from archiver.runs.drop import refuse_unless_named
from archiver.store.bucket import Bucket, Digests, file_digests
from errors import CutoverError, DamagedError, LockedError, RefusedError, UsageError
from inventory.load import ROOT
from tests.worlds import NIGHT, YEAR, World, drop, school_ids, sql

OLD_TABLES = (ROOT / "tests/fixtures/archiver_schema_1.sql").read_text(encoding="utf-8")
TARBALL = "2013_school_13.tar.gz"


def record_of(world: World, school: int = 13) -> Record:
    with world.archiver() as archiver:
        return resolve.one_to_restore(archiver.databases, school, YEAR)


def ledgered(world: World) -> ArchiveRecord:
    with world.archiver() as archiver:
        return registry.chosen(archiver.databases, "13", YEAR, resolve.one_to_restore).record


def stored(world: World, record: Record) -> bytes:
    bucket, store = Bucket(world.environment.store), world.environment.store
    key = f"{store.prefix}/{bucket.key(record.location)}"
    return bucket._client.get_object(Bucket=store.bucket, Key=key)["Body"].read()


def replace_object(world: World, record: Record, data: bytes) -> None:
    bucket, store = Bucket(world.environment.store), world.environment.store
    key = f"{store.prefix}/{bucket.key(record.location)}"
    bucket._client.put_object(Bucket=store.bucket, Key=key, Body=data)


def members(data: bytes) -> dict[str, bytes]:
    """Return the members as Python's own tar and gzip read them, apart from the code under test."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return {entry.name: tar.extractfile(entry).read() for entry in tar}  # type: ignore[union-attr]


@contextmanager
def asking(world: World) -> Iterator[Callable[[str], list[dict[str, str]]]]:
    """Yield a function that queries the archive of school 13."""
    with (
        setup.scratch(world.environment, "test") as scratch,
        inspect.fetched(Bucket(world.environment.store), ledgered(world), Keys(), setup.spool_folder()) as archive,
    ):

        def ask(text: str) -> list[dict[str, str]]:
            out = io.BytesIO()
            inspect.query(archive, text, scratch, out)
            return list(csv.DictReader(io.StringIO(out.getvalue().decode())))

        yield ask


def scratch_tables(world: World) -> list[str]:
    with setup.scratch(world.environment, "test") as scratch:
        return [row[0] for row in scratch.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]


def proved(archiver: Archiver, *wanted: Record) -> list[reverify.Reverified]:
    archives = [registry.archive_of(archiver.databases.master, record.id) for record in wanted]
    return reverify.reverify(archiver, archives, lambda _: None)


def test_cat_writes_the_rows_as_they_were_live(world: World, tmp_path: Path) -> None:
    with sql(world, "master") as cursor, (tmp_path / "live").open("wb") as live:
        select = "SELECT * FROM classrooms WHERE school_id = 13 ORDER BY id"
        cursor.copy_expert(f"COPY ({select}) TO STDOUT (FORMAT text, HEADER)", live)
    world.archive(13)

    out = io.BytesIO()
    with inspect.fetched(Bucket(world.environment.store), ledgered(world), Keys(), tmp_path) as archive:
        inspect.cat(archive, inspect.table_in(archive.manifest, "classrooms"), out, header=True)
        with pytest.raises(UsageError, match="There is no table 'classroom' in the archive") as unknown:
            inspect.table_in(archive.manifest, "classroom")

    assert out.getvalue() == (tmp_path / "live").read_bytes()
    assert "master.classrooms, " in unknown.value.hint
    assert "shard.enrollments, " in unknown.value.hint


def test_an_archive_answers_a_query_and_leaves_nothing_in_the_scratch_database(world: World) -> None:
    query = (
        "SELECT c.id::text, count(e.id)::text AS enrolled FROM {} LEFT JOIN enrollments e ON e.classroom_id = c.id"
        " GROUP BY 1 ORDER BY 1"
    )
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id::text FROM classrooms WHERE school_id = 13")
        classrooms = [row[0] for row in cursor.fetchall()]
    with sql(world, "shard_3") as cursor:
        cursor.execute(query.format("unnest(%s::int[]) c(id)"), (classrooms,))
        expected = [{"id": one, "enrolled": number} for one, number in cursor.fetchall()]
    world.archive(13)

    with asking(world) as ask:
        assert ask(query.format("classrooms c") + "  -- of each classroom") == expected
        assert ask("SELECT ';) it''s' AS odd;") == [{"odd": ";) it's"}]
    assert scratch_tables(world) == []


@pytest.fixture
def archived(world: World) -> World:
    world.archive(13)
    return world


def test_a_query_that_does_more_than_read_is_refused_with_postgresqls_message(archived: World) -> None:
    refusals = {
        "SELECT frm classrooms": 'column "frm" does not exist',
        "DELETE FROM classrooms RETURNING id": "cannot execute DELETE in a read-only transaction",
        "WITH gone AS (DELETE FROM classrooms RETURNING id) SELECT * FROM gone": "read-only transaction",
        "SELECT 1; SELECT 2": "cannot open multi-query plan as cursor",
        "SELECT 1) TO STDOUT; COMMIT; CREATE TABLE public.mine(); COPY (SELECT 1": "syntax error",
        "SELECT 1 /* ": "unterminated /* comment",
        "": "cannot open multi-query plan as cursor",
    }
    with asking(archived) as ask:
        for text, words in refusals.items():
            with pytest.raises(UsageError) as refused:
                ask(text)
            assert words in str(refused.value), text
    assert scratch_tables(archived) == []


def test_a_verification_gives_the_record_its_date_and_the_log_an_entry(world: World) -> None:
    world.archive(13, 17)
    first = record_of(world)
    with world.archiver() as archiver:
        [outcome] = proved(archiver, first)

        assert outcome.error is None
        assert first.proved_at == first.verified_at
        again = record_of(world)
        assert again.proved_at is not None
        assert first.proved_at is not None
        assert again.proved_at > first.proved_at
        [*_, entry] = audit_log.entries(archiver.databases.master)
        assert (entry.act, entry.tenant_id, entry.year) == ("verify", 13, YEAR)
        assert entry.details == {"rows": first.rows, "size": first.size, "sha256": first.sha256}
        longest = reverify.longest_unverified(registry.openable(archiver.databases.master, None), 1)
        assert [each.record.key for each in longest] == [17]

        archive = registry.archive_of(archiver.databases.master, again.id)
        world.restore(13)
        [gone] = reverify.reverify(archiver, [archive], lambda _: None)
        assert isinstance(gone.error, RefusedError)
        assert "restored or dropped meanwhile" in str(gone.error)


class Flipping(Bucket):
    """A store that gives every object back with one bit of it turned over."""

    place = 0

    def get(self, key: str, path: Path, piece: range | None = None, *, limit: int | None = None) -> Digests:
        super().get(key, path, piece, limit=limit)
        data = bytearray(path.read_bytes())
        data[self.place] ^= 1 << self.place % 8
        path.write_bytes(data)
        return file_digests(path)


def test_a_flipped_bit_anywhere_and_a_swapped_object_are_refused_by_name(world: World) -> None:
    world.archive(13, 17)
    record, other = record_of(world), record_of(world, 17)
    assert record.size is not None
    places = range(0, record.size, record.size // 99)
    flipping = Flipping(world.environment.store)
    with world.archiver() as archiver:
        for place in places:
            flipping.place = place
            [flipped] = proved(replace(archiver, bucket=flipping), record)
            assert isinstance(flipped.error, DamagedError), place
            assert f"{TARBALL} is not what was stored" in str(flipped.error)
        replace_object(world, record, stored(world, other))
        swapped, whole_one = proved(archiver, record, other)

    assert len(places) >= 100
    assert isinstance(swapped.error, DamagedError)
    assert whole_one.error is None
    assert record_of(world).proved_at == record.proved_at


def test_every_id_of_master_in_an_archive_is_found_whatever_the_depth(world: World) -> None:
    world.archive(13, depth="students")
    held = members(stored(world, record_of(world)))

    with world.archiver() as archiver:
        master = archiver.databases.master
        for table in ("students", "users", "classrooms", "preferences", "schools"):
            lines = held[f"master/{table}.copy"].splitlines()
            assert lines
            for row_id in (int(line.split(b"\t")[0]) for line in lines):
                assert [one.tenant_id for one in id_index.holders(master, table, row_id)] == [13], (table, row_id)
        assert id_index.holders(master, "students", 10**15) == ()
        student = int(held["master/students.copy"].split(b"\t")[0])
        world.restore(13)
        assert id_index.holders(master, "students", student) == ()


def test_a_shared_student_is_found_in_the_archives_of_both_schools(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT a.student_id, c.school_id, d.school_id FROM classroom_students a"
            " JOIN classroom_students b USING (student_id) JOIN classrooms c ON c.id = a.classroom_id"
            " JOIN classrooms d ON d.id = b.classroom_id WHERE c.school_id < d.school_id LIMIT 1"
        )
        [[student, *schools]] = cursor.fetchall()
    world.archive(*schools)

    with world.archiver() as archiver:
        table = resolve.table_with_ids(archiver.databases, "student")
        found = id_index.holders(archiver.databases.master, table, student)
        with pytest.raises(UsageError, match="No ids are kept of 'enrollment'") as unknown:
            resolve.table_with_ids(archiver.databases, "enrollment")

    assert sorted(one.tenant_id for one in found) == schools
    assert "student" in unknown.value.hint


def test_an_archive_without_an_index_is_named_and_the_next_verification_writes_it(archived: World) -> None:
    query = "SELECT table_name, ids::text[] || keys FROM archiver.ids ORDER BY table_name"
    with sql(archived, "master") as cursor:
        cursor.execute(query)
        written = [(table, sorted(ids)) for table, ids in cursor.fetchall()]
        cursor.execute("DELETE FROM archiver.ids")

    with archived.archiver() as archiver:
        assert [one.tenant_id for one in id_index.missing(archiver.databases.master, "students")] == [13]
        [outcome] = proved(archiver, record_of(archived))
        assert outcome.error is None
        assert id_index.missing(archiver.databases.master, "students") == ()
    with sql(archived, "master") as cursor:
        cursor.execute(query)
        assert [(table, sorted(ids)) for table, ids in cursor.fetchall()] == written


def test_a_drop_interrupted_after_the_object_was_deleted_is_finished_by_the_next(
    archived: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = record_of(archived)
    with pytest.raises(UsageError, match=rf"expected the tarball's name, {TARBALL}, got '13'"):
        refuse_unless_named(ledgered(archived), "13")
    refuse_unless_named(ledgered(archived), TARBALL)

    def killed(*_: object) -> None:
        raise CutoverError("killed")

    with archived.archiver() as archiver, archiver.databases.tenant_lock(13, record.shard):
        monkeypatch.setattr(archive_record, "delete", killed)
        with pytest.raises(CutoverError, match="killed"):
            drop(archiver, record)
        monkeypatch.undo()
        assert record_of(archived) == record

        drop(archiver, record)

        assert unreferenced_objects(archiver.bucket, archiver.databases) == ()
        [*_, entry] = audit_log.entries(archiver.databases.master)
        assert (entry.act, entry.record_id, entry.details["rows"]) == ("drop", record.id, record.rows)
        assert (entry.details["sha256"], entry.details["location"]) == (record.sha256, record.location)
        with pytest.raises(RefusedError, match="restored or dropped meanwhile"):
            drop(archiver, record)
    with sql(archived, "master") as cursor:
        cursor.execute(
            "SELECT (SELECT count(*) FROM archiver.archives WHERE kind = 'tenant'), (SELECT count(*) FROM archiver.ids)"
        )
        assert cursor.fetchall() == [(0, 0)]


def test_an_archive_that_another_run_is_working_on_is_not_dropped(archived: World) -> None:
    with archived.archiver() as archiver:
        for state in (State.DELETING, State.RESTORING):
            archive_record.step_back(
                archiver.databases.master, resolve.one_to_show(archiver.databases, 13, None), state
            )
            with pytest.raises(UsageError, match=f"School 13 is {state.value} for 2013; nothing was dropped"):
                resolve.one_to_drop(archiver.databases, 13, None)


def test_records_are_selected_by_their_columns(world: World) -> None:
    world.archive(13)
    world.archive(17, depth="students", year=2012)
    with world.archiver() as archiver:
        master = archiver.databases.master
        [plain] = archive_record.read_if_any(master, YEAR)
        archive_record.step_back(master, plain, State.RESTORING)
        other = resolve.one_to_show(archiver.databases, 17, None)
        by: dict[str, dict[str, object]] = {
            "shard": {"shard": plain.shard},
            "state": {"state": State.RESTORING},
            "name": {"name": plain.tenant_name[1:].upper()},
            "customer and year": {"customer_id": plain.customer_id, "year": YEAR},
        }
        for words, given in by.items():
            found = archive_record.read_if_any(master, **given)  # type: ignore[arg-type]
            assert [one.tenant_id for one in found] == [13], words
        assert len(archive_record.read_if_any(master, night=NIGHT)) == 2
        assert archive_record.read_if_any(master, night=NIGHT - timedelta(days=1)) == ()
        assert archive_record.read_if_any(master, name="100%") == ()
        assert other.shard != plain.shard


def test_unreferenced_objects_are_listed(world: World) -> None:
    bucket = Bucket(world.environment.store)
    world.archive(13, 17)
    restored, kept = record_of(world), record_of(world, 17)
    before = datetime.now(UTC)
    world.restore(13)

    with world.archiver() as archiver:
        [orphan] = unreferenced_objects(bucket, archiver.databases)

        with (
            world.archiver() as other,
            other.databases.tenant_lock(17, "shard_4"),
            pytest.raises(LockedError),
        ):
            unreferenced_objects(
                bucket, archiver.databases
            )  # a record may be about to move to an object that none names yet

    assert (orphan.location, orphan.size) == (restored.location, restored.size)
    assert abs(before - orphan.modified) < timedelta(minutes=10)
    assert kept.location in {one.location for one in bucket.objects()}


def test_the_log_is_read_oldest_first_and_by_school_year_or_act(world: World) -> None:
    world.archive(13)
    world.restore(13)
    world.archive(17, year=2012)

    with world.archiver() as archiver:
        master = archiver.databases.master
        told = [(entry.act, entry.tenant_id, entry.year) for entry in audit_log.entries(master)]
        assert told == [("archive", 13, 2013), ("restore", 13, 2013), ("archive", 17, 2012)]
        assert [entry.act for entry in audit_log.entries(master, tenant_id=13)] == ["archive", "restore"]
        assert [entry.tenant_id for entry in audit_log.entries(master, act="archive", year=2012)] == [17]
        [first, *_] = audit_log.entries(master)
    deleted = sum(first.details["deleted"].values()) + sum(first.details["kept"].values())
    assert deleted > 500
    assert len(first.details["sha256"]) == 64


def test_a_schema_of_an_older_version_is_migrated_by_any_command_that_reads_it(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute(OLD_TABLES)
        cursor.execute(
            "INSERT INTO archiver.records (tenant_id, tenant_name, year, shard, depth, state, location, operator, host,"
            " verified_at) VALUES (13, 'Lincoln', 2013, 'shard_3', 'all', 'archived', 's3://there', 'ann', 'debug',"
            " '2014-08-15 22:15+00')"
        )
    with setup.databases_of(world.environment, "test") as place:
        [record] = archive_record.read_if_any(place.master)
        assert record.proved_at == record.verified_at == datetime(2014, 8, 15, 22, 15, tzinfo=UTC)
        assert [one.id for one in id_index.missing(place.master, "students")] == [record.id]
        assert audit_log.entries(place.master) == ()
    world.archive(17)
    assert record_of(world, 17).proved_at
    assert 17 not in school_ids(world)


def test_reading_creates_no_tables_where_nothing_was_ever_archived(empty: str) -> None:
    master = connect(psycopg2.extensions.parse_dsn(empty), name="test")

    assert (
        archive_record.read_if_any(master),
        audit_log.entries(master),
        id_index.holders(master, "students", 1),
    ) == ((), (), ())

    assert master.rows("SELECT nspname FROM pg_namespace WHERE nspname = 'archiver'") == []
    master.close()
