"""The version of the archiver's own tables: older ones are migrated once, newer ones are not touched."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from typing import Any

import psycopg2
import pytest

from archiver.checks.log_proof import chain_of
from archiver.postgres import own_schema
from archiver.postgres.own_schema import Migration, own_migrations
from archiver.postgres.session import DatabaseError, Session, connect
from archiver.records import archive_record, audit_log
from archiver.runs import setup
from errors import ExitCode, RefusedError
from inventory.load import ROOT
from runbooks.cli import call
from tests import oracle
from tests.inside import inv_inside
from tests.months import archive_months, restore_months
from tests.worlds import DATABASES, NIGHT, NewWorld, World, same, sql

FIRST = (ROOT / "tests/fixtures/archiver_schema_1.sql").read_text(encoding="utf-8")
UNNUMBERED = (ROOT / "tests/fixtures/archiver_schema_2.sql").read_text(encoding="utf-8")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
MONTHS_DAY = date(2014, 9, 5)
SHAPE = """
SELECT c.relname, c.relkind::text, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
       pg_get_expr(d.adbin, d.adrelid)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
 WHERE c.relnamespace = 'archiver'::regnamespace
UNION ALL
SELECT conrelid::regclass::text, 'constraint', conname, pg_get_constraintdef(oid), true, NULL
  FROM pg_constraint WHERE connamespace = 'archiver'::regnamespace
UNION ALL
SELECT tgrelid::regclass::text, 'trigger', tgname, pg_get_triggerdef(oid), true, NULL
  FROM pg_trigger WHERE tgrelid = to_regclass('archiver.log') AND NOT tgisinternal
ORDER BY 1, 2, 3, 4
"""
NUMBER = len(own_migrations())
LATER = (*own_migrations(), Migration(NUMBER + 1, "one more", "CREATE TABLE archiver.later (id integer);"))
BROKEN = (*LATER, Migration(NUMBER + 2, "a wrong one", "CREATE TABLE archiver.last (id integer); SELECT 1 / 0;"))


@contextmanager
def session_on(dsn: str) -> Iterator[Session]:
    with closing(connect(psycopg2.extensions.parse_dsn(dsn), name="test of the number")) as session:
        yield session


def run(dsn: str, statements: str) -> None:
    """A colleague at psql."""
    with session_on(dsn) as session:
        session.execute(statements)


def version(session: Session) -> list[tuple[Any, ...]]:
    """The number, and the version of the tool that wrote it."""
    return list(session.rows("SELECT number, tool FROM archiver.version"))


def test_a_fresh_database_gets_the_last_number(empty: str) -> None:
    with session_on(empty) as session:
        assert not own_schema.ready(session)
        own_schema.prepare(session)

        assert version(session) == [(NUMBER, VERSION)]
        assert own_schema.ready(session)


@pytest.mark.parametrize("older", [FIRST, UNNUMBERED], ids=["the first version", "the last before"])
def test_tables_of_every_version_before_the_numbers_become_the_same_and_keep_their_rows(
    empty: str, new_world: NewWorld, older: str
) -> None:
    with new_world(("master",)) as world:
        run(empty, f"{older}\n{ROWS}")
        with session_on(empty) as session, session_on(world.dsns["master"]) as fresh:
            before = session.rows(STAYS)
            own_schema.prepare(fresh)
            assert own_schema.ready(session)

            assert session.rows(SHAPE) == fresh.rows(SHAPE)
            assert version(session) == [(NUMBER, VERSION)]
            assert session.rows(STAYS) == before != []
            chain = chain_of(session)
            assert (chain.problem, chain.entries) == ("", 3)


ROWS = """
INSERT INTO archiver.records (tenant_id, tenant_name, year, shard, depth, state, location, operator, host)
VALUES (13, 'Lincoln', 2013, 'shard_3', 'all', 'archived', 's3://there', 'ann', 'debug');
INSERT INTO archiver.markers (record_id, act, content) VALUES (1, 'deleted', '{"found": {}}');
INSERT INTO archiver.log (operator, host, act, tenant_id, year, record_id, details)
VALUES ('ann', 'debug', 'archive', 13, 2013, 1, '{}'),
       ('ann', 'debug', 'verify', 13, 2013, 0, '{"rows": 1.50, "größe": {"b": null, "a": [1e3]}}'),
       ('ben', 'debug', 'verify', 13, 2013, 0, '{}');
"""
STAYS = """
SELECT r.id, r.tenant_name, r.state, m.act, m.content, l.id, l.act
  FROM archiver.records r JOIN archiver.markers m ON m.record_id = r.id JOIN archiver.log l ON l.record_id = r.id
"""


def test_a_school_that_was_archived_before_the_numbers_comes_back(new_world: NewWorld) -> None:
    with new_world(("master", "shard_3")) as world:
        before = oracle.snapshot(world.dsns)
        world.archive(13)
        for dsn in world.dsns.values():
            run(dsn, "DROP TABLE archiver.version; COMMENT ON SCHEMA archiver IS 'tables 52ce7ae7a5bd'")

        world.restore(13)

        same(before, oracle.snapshot(world.dsns))
        for dsn in world.dsns.values():
            with session_on(dsn) as session:
                assert version(session) == [(NUMBER, VERSION)]


def test_each_later_migration_runs_once_and_whole_or_not_at_all(empty: str) -> None:
    with session_on(empty) as session:
        with pytest.raises(DatabaseError, match="division by zero"):
            own_schema.prepare(session, BROKEN)

        assert version(session) == [(NUMBER + 1, VERSION)]
        there = "SELECT to_regclass('archiver.later') IS NOT NULL, to_regclass('archiver.last') IS NOT NULL"
        assert session.rows(there) == [(True, False)]
        own_schema.prepare(session, LATER)  # would fail if the second ran again
        with pytest.raises(
            RefusedError, match=rf"they have number {NUMBER + 1}, made by version .* numbers up to {NUMBER}\."
        ):
            own_schema.prepare(session)


WAITING = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database = (%s)"
THIS = "SELECT oid FROM pg_database WHERE datname = current_database()"
PREPARE = """
import json, sys
from archiver.postgres import own_schema
from archiver.postgres.session import connect
own_schema.prepare(connect(json.loads(sys.argv[1]), name="one of two"))
"""


def test_two_processes_that_make_the_tables_at_once_make_them_once(empty: str) -> None:
    """Both are let go when both wait to make them; what is made twice would be an error."""
    words = [sys.executable, "-c", PREPARE, json.dumps(psycopg2.extensions.parse_dsn(empty))]
    with session_on(empty) as session:
        session.rows("SELECT pg_advisory_lock(hashtextextended('cutover prepare', 0))")
        two = [subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(2)]
        [[this]], deadline = session.rows(THIS), time.monotonic() + 60
        while session.rows(WAITING, (this,)) != [(2,)]:
            assert time.monotonic() < deadline, "they did not come to wait"
            assert [process.poll() for process in two] == [None, None]
        session.rows("SELECT pg_advisory_unlock(hashtextextended('cutover prepare', 0))")
        said = [process.communicate(timeout=60)[1] for process in two]

        assert ([process.returncode for process in two], said) == ([0, 0], ["", ""])
        assert version(session) == [(NUMBER, VERSION)]


@pytest.fixture(scope="module")
def lived(new_world: NewWorld) -> Iterator[World]:
    """A world with an archived school and archived months, that no test of these changes."""
    with new_world() as world:
        archive_months(world, MONTHS_DAY)
        world.archive(13)
        yield world


def everything(world: World) -> tuple[oracle.Snapshot, dict[str, object]]:
    """All rows of the product, and shape and rows of the archiver's own tables, markers among them."""
    own: dict[str, object] = {}
    for name, dsn in world.dsns.items():
        with session_on(dsn) as session:
            tables = [row[0] for row in session.rows(f"SELECT DISTINCT relname FROM ({SHAPE}) s WHERE relkind = 'r'")]
            own |= {f"{name} {table}": session.rows(f"SELECT t::text FROM archiver.{table} t") for table in tables}
            own[name] = session.rows(SHAPE)
    return oracle.snapshot(world.dsns), own


@contextmanager
def written_by_a_newer_version(world: World, database: str) -> Iterator[None]:
    """A database whose tables the next version made."""
    run(world.dsns[database], f"UPDATE archiver.version SET number = {NUMBER + 1}, tool = '99.0'")
    try:
        yield
    finally:
        run(world.dsns[database], f"UPDATE archiver.version SET number = {NUMBER}, tool = '{VERSION}'")


def purge(world: World) -> None:
    with world.archiver("users.purge-legacy"):
        raise AssertionError("it was let in")


def looks(world: World, look: Callable[[Session], object]) -> None:
    with setup.databases_of(world.environment, "test") as place:
        look(place.master)


WRITES: dict[str, Callable[[World], object]] = {
    "archive": lambda world: world.archive(25),
    "archive together": lambda world: world.archive_together(25, 29),
    "pretend": lambda world: world.archive(25, pretend=True),
    "restore": lambda world: world.restore(13),
    "plan a restore": lambda world: world.plan(13),
    "rewrap": lambda world: world.reencrypt(13),
    "archive months": lambda world: archive_months(world, MONTHS_DAY),
    "restore months": lambda world: restore_months(world, "2014-03"),
    "move": lambda world: world.move_all("merge", "shard_1", "shard_2"),
    "purge": purge,
}
LOOKS: dict[str, Callable[[World], object]] = {
    "list": lambda world: looks(world, archive_record.read_if_any),
    "log": lambda world: looks(world, audit_log.entries),
}


@pytest.mark.parametrize("database", ["master", "shard_4"])
def test_tables_of_a_newer_version_are_neither_written_nor_read_and_stay(lived: World, database: str) -> None:
    """Every way in, on one world, because none leaves anything behind."""
    before = everything(lived)
    ways = {**WRITES, **(LOOKS if database == "master" else {})}
    with written_by_a_newer_version(lived, database):
        newer = everything(lived)
        for way, act in ways.items():
            with pytest.raises(RefusedError) as refused:
                act(lived)
            where = lived.environment.databases[database].connection["dbname"]
            assert f"Opening the archiver's tables on {where}@" in str(refused.value), way
            assert f"they have number {NUMBER + 1}, made by version 99.0 of this tool" in str(refused.value), way
            assert refused.value.hint == "Use that version of the tool, or a newer one.", way
            assert refused.value.exit_code is ExitCode.FAILED
        assert everything(lived) == newer
    assert everything(lived) == before


def test_read_only_commands_report_it_and_end_with_the_exit_code_of_a_refusal(
    lived: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: lived.environment)
    commands = {
        "master": (["archive.list"], ["archive.log"], ["archive.show", "13"], ["archive.find", "student", "1"]),
        "shard_4": (["archive.audit", f"--date={NIGHT}"],),
    }
    for database, every in commands.items():
        with written_by_a_newer_version(lived, database):
            for words in every:
                said = inv_inside(capsys, *words)
                assert (said.code, f"they have number {NUMBER + 1}, made by version 99.0" in said.err) == (10, True), (
                    words
                )


@pytest.mark.parametrize(
    "spoiled",
    [
        "DELETE FROM archiver.version",
        "UPDATE archiver.version SET number = 0",
        "ALTER TABLE archiver.version DROP COLUMN number",
        "ALTER TABLE archiver.version ALTER number TYPE text USING 'one'",
        "ALTER TABLE archiver.version DROP COLUMN one; INSERT INTO archiver.version SELECT 2, '', now()",
    ],
)
def test_tables_without_a_version_number_are_refused(empty: str, spoiled: str) -> None:
    with session_on(empty) as session:
        own_schema.prepare(session)
        session.execute(spoiled)
        before = session.rows(SHAPE)

        for act in (own_schema.prepare, own_schema.ready, own_schema.refuse_newer):
            with pytest.raises(RefusedError, match=r"archiver\.version does not say their number"):
                act(session)
        assert session.rows(SHAPE) == before


def test_no_database_is_migrated_where_another_is_refused(new_world: NewWorld) -> None:
    with new_world() as world:
        run(world.dsns["master"], UNNUMBERED)
        run(
            world.dsns["shard_4"],
            f"CREATE SCHEMA archiver; CREATE TABLE archiver.version AS SELECT {NUMBER + 1} AS number",
        )

        with pytest.raises(RefusedError, match=f"they have number {NUMBER + 1}"):
            world.archive(13)

        with sql(world, "master") as cursor:
            cursor.execute("SELECT to_regclass('archiver.version'), obj_description('archiver'::regnamespace)")
            assert cursor.fetchall() == [(None, "tables 52ce7ae7a5bd")]
        for name in set(DATABASES) - {"master", "shard_4"}:
            with sql(world, name) as cursor:
                cursor.execute("SELECT to_regnamespace('archiver')")
                assert cursor.fetchall() == [(None,)]
