"""Rows that only look unchanged, a clock that was set back, and logs that their own writer can rewrite."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import psycopg2
import pytest

from archiver.delete import many
from archiver.postgres.own_schema import prepare
from archiver.postgres.session import connect, parse_dsn
from archiver.records import audit_log
from archiver.runs.context import ArchiveOutcome
from errors import CutoverError
from runbooks.cli import call
from runbooks.engine.live.store_journal import read_store_journal
from runbooks.engine.model.journal import Journal, Kind
from tests.fakes import EVENING, FakeObjectStore, rehearsal
from tests.inside import Said, inv_inside
from tests.worlds import World, sql

SOME = (5, 13)
OLD, NEW = "as archived", "written since"


def test_rows_that_a_migration_changed_are_not_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with sql(world, "master") as cursor:
        cursor.execute(f"ALTER TABLE students ADD COLUMN note text DEFAULT '{OLD}'")
    outcomes, empty_shard, migrated = list[ArchiveOutcome](), many.empty_shard, list[bool]()

    def busy(*args: object) -> object:
        if not migrated:
            migrated.append(True)
            with sql(world, "master") as cursor:
                # No row is written by it: the default lies in the catalogue.
                cursor.execute(f"ALTER TABLE students DROP COLUMN note, ADD COLUMN note text DEFAULT '{NEW}'")
        return empty_shard(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(many, "empty_shard", busy)
    world.archive_together(*SOME, on_result=outcomes.append)

    assert migrated
    gone = [one.item for one in outcomes if not one.error]
    world.restore(*gone)
    with sql(world, "master") as cursor:
        cursor.execute("SELECT DISTINCT note FROM students")
        assert cursor.fetchall() == [(NEW,)]


@dataclass(frozen=True)
class Shared:
    """A teacher at three schools; two of them go, and she stays because of the third."""

    world: World
    user: int
    first: int
    second: int

    def rename(self, name: str) -> None:
        """The application writes."""
        with sql(self.world, "master") as cursor:
            cursor.execute("UPDATE users SET last_name = %s WHERE id = %s", (name, self.user))

    @property
    def name(self) -> str:
        """Her live name."""
        with sql(self.world, "master") as cursor:
            cursor.execute("SELECT last_name FROM users WHERE id = %s", (self.user,))
            return str(cursor.fetchall()[0][0])


@pytest.fixture
def shared(world: World) -> Iterator[Shared]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM schools ORDER BY id LIMIT 3")
        schools = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "INSERT INTO users (email, last_name, created_at, updated_at) VALUES ('x@y', 'Older', now(), now())"
            " RETURNING id"
        )
        [[user]] = cursor.fetchall()
        for school in schools:
            cursor.execute("INSERT INTO school_assignments (school_id, user_id) VALUES (%s, %s)", (school, user))
    with world.by_one_worker() as worker:
        yield Shared(worker, user, schools[0], schools[1])


def set_back(world: World, school: int) -> None:
    """Set an archive's times back by an hour, as now() would have written them: no test sets a server's clock back."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM archiver.archives WHERE kind = 'tenant' AND key = %s::text", (school,))
        [[record]] = cursor.fetchall()
        for table, key in (("archives", "id"), ("kept", "record_id")):
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_schema = 'archiver'"
                " AND table_name = %s AND column_name IN ('archived_at', 'verified_at', 'proved_at')",
                (table,),
            )
            moments = ", ".join(f"{name} = {name} - interval '1 hour'" for (name,) in cursor.fetchall())
            if moments:
                cursor.execute(f"UPDATE archiver.{table} SET {moments} WHERE {key} = %s", (record,))


def test_an_older_copy_does_not_replace_a_newer_one_after_the_clock_was_set_back(shared: Shared) -> None:
    shared.world.archive(shared.first)
    shared.rename("Newer")
    shared.world.archive(shared.second)
    set_back(shared.world, shared.second)

    shared.world.restore(shared.second)
    shared.world.restore(shared.first)

    assert shared.name == "Newer"


@dataclass(frozen=True)
class Told:
    """The subject of an entry of the log."""

    id: int
    tenant_id: int = 13
    year: int = 2013


@pytest.fixture
def log(empty: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], Said]:
    """`inv archive.log` of a master in whose log three acts stand."""
    written = rehearsal()
    databases = {"master": replace(written.databases["master"], connection=parse_dsn(empty))}
    environment = replace(written, databases=databases, overlay=None)
    with contextlib.closing(connect(parse_dsn(empty), name="test")) as session:
        prepare(session)
        for number, act in enumerate(("archive", "restore", "drop"), start=1):
            audit_log.log(session, act, Told(number), {"rows": number})
    monkeypatch.setattr(call, "load_environment", lambda *_, **__: environment)
    return lambda: inv_inside(capsys, "archive.log", "--json")


def test_a_complete_log_is_shown(log: Callable[[], Said]) -> None:
    said = log()

    assert (said.code, said.err, len(said.out.splitlines())) == (0, "", 3)


@contextlib.contextmanager
def trigger_off(dsn: str) -> Iterator[psycopg2.extensions.cursor]:
    """The archiver's own role, which owns the log."""
    with psycopg2.connect(dsn) as link, link.cursor() as cursor:
        cursor.execute("ALTER TABLE archiver.log DISABLE TRIGGER append_only")
        yield cursor
        cursor.execute("ALTER TABLE archiver.log ENABLE TRIGGER append_only")
    link.close()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM archiver.log WHERE act = 'restore'",
        "UPDATE archiver.log SET operator = 'ben' WHERE act = 'restore'",
    ],
)
def test_a_log_that_was_rewritten_is_refused_or_reported(log: Callable[[], Said], empty: str, statement: str) -> None:
    try:
        with trigger_off(empty) as cursor:
            cursor.execute(statement)
    except psycopg2.Error:
        return  # it may not
    said = log()

    assert said.code != 0 or said.err


def test_a_nights_journal_that_was_rewritten_in_the_store_is_refused() -> None:
    folder, object_store = "nights/2014-08-15/001", FakeObjectStore()
    journal = Journal(now=lambda: EVENING, operator="ann@laptop")
    journal.append(Kind.BEGAN, run="r", digest="d")
    journal.append(Kind.RESULT, step="backups.dump", host="db-master", outcome="failed", proof="there is none")
    journal.append(Kind.STOPPED, reason="a step failed")
    for event in journal.events:
        object_store.put_new(f"{folder}/{event.number:06}", event.to_json())
    name = f"{folder}/000002"
    object_store.texts[name] = object_store.texts[name].replace('"failed"', '"done"')

    with pytest.raises(CutoverError):
        read_store_journal((), object_store, folder)
