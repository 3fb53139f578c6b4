"""The version of the archiver's own tables: older ones are migrated once, newer ones are not touched."""

from __future__ import annotations

import json
import re
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
from archiver.postgres.tenants import Tenant
from archiver.records import (
    archive_record,
    archives,
    audit_log,
    holds,
    id_index,
    ledger,
    month_record,
    move_record,
    purge_record,
    slice_record,
)
from archiver.records.move_record import Route
from archiver.records.state import Kind, State
from archiver.runs import setup
from errors import ExitCode, RefusedError
from inventory.load import ROOT
from runbooks.cli import call
from tests import oracle
from tests.inside import inv_inside
from tests.months import archive_months, restore_months
from tests.worlds import DATABASES, NIGHT, NewWorld, World, sql

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
            before = session.rows(STAYS.format("records"))
            own_schema.prepare(fresh)
            assert own_schema.ready(session)

            assert session.rows(SHAPE) == fresh.rows(SHAPE)
            assert version(session) == [(NUMBER, VERSION)]
            assert session.rows(STAYS.format("archives")) == before != []
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
  FROM archiver.{} r JOIN archiver.markers m ON m.record_id = r.id JOIN archiver.log l ON l.record_id = r.id
"""


TENANT = Tenant(id=17, name="Jefferson", customer_id=None, customer_name=None, shard="shard_1")
ROUTE = Route(verb="merge", source="shard_1", target="shard_2")
OF_EVERY_KIND = """
INSERT INTO archiver.records (tenant_id, tenant_name, year, shard, depth, state, location, operator, host, night,
                              members, kept, partial, recipients, seconds_to_extract, verified_at, reason, version_id)
VALUES (13, 'Lincoln', 2013, 'shard_3', 'all', 'archived', 's3://13', 'ann', 'debug', '2014-08-15',
        '{"master/schools.copy": {"rows": 1, "bytes": 2, "sha256": "ab"}}', '{"master.users": 3}', '[{"classroom": 4}]',
        '{age1a,age1b}', 0.1, '2014-08-15 22:15:00.123456+00', 'closed', 'v1'),
       (14, 'a "name"\\', 2013, 'shard_1', 'students', 'deleting', 's3://14', 'ann', 'debug', NULL, '{}', '{}', '[]',
        '{}', NULL, NULL, NULL, NULL);
INSERT INTO archiver.months (month, year, before, shard, state, location, fingerprint, recipients, operator, host)
VALUES ('2014-03', 2013, '2014-04-01 05:00+00', 'shard_1', 'deleting', 's3://month', 'f', '{}', 'ann', 'debug');
INSERT INTO archiver.month_slices (month_id, tenant_id, start, size, sha256, rows, went, stayed)
VALUES (1, 0, 0, 10, 'ab', '{"shard/visits.copy": 2}', NULL, NULL),
       (1, 13, 512, 20, 'cd', '{"shard/visits.copy": 5}', '{"shard/visits.copy": 5}', '{"shard/visits.copy": ["7"]}');
INSERT INTO archiver.purges (year, before, ids, state, location, recipients, operator, host, purged_at)
VALUES (2013, '2013-01-01', '{7,9}', 'purged', 's3://purge', '{}', 'ann', 'debug', now()),
       (2013, '2013-01-01', '{8}', 'restored', 's3://second', '{}', 'ann', 'debug', now());
INSERT INTO archiver.moves (tenant_id, year, verb, source, target, offsets, state, location, operator, host, turn)
VALUES (13, 2013, 'merge', 'shard_1', 'shard_2', '[[0, 10, 100]]', 'loading', 's3://move', 'ann', 'debug', NULL),
       (13, 2013, 'split', 'shard_2', 'shard_1', '[]', 'moved', 's3://back', 'ann', 'debug', nextval('archiver.turns'));
INSERT INTO archiver.ids VALUES (1, 'students', '{1,2}');
INSERT INTO archiver.gone VALUES (2, 'students', '{3}');
INSERT INTO archiver.held VALUES (13, 'ann', 'debug');
"""
BEFORE_10 = ("records", "months", "month_slices", "purges", "moves")
TEN = own_migrations()[9]
ALL_OF = "SELECT array_agg(to_jsonb(t)::text ORDER BY to_jsonb(t)::text) FROM archiver.{} t"


@pytest.fixture
def numbered_9(empty: str) -> Iterator[Session]:
    """Tables of the number before the ledger of all kinds, with rows in each."""
    with session_on(empty) as session:
        own_schema.prepare(session, own_migrations()[:9])
        session.execute(OF_EVERY_KIND)
        yield session


def of_before(session: Session, suffix: str = "") -> list[Any]:
    """The rows of the tables of before."""
    return [session.rows(ALL_OF.format(f"{table}{suffix}")) for table in BEFORE_10]


def test_archives_months_purges_and_moves_become_records_of_one_ledger(numbered_9: Session) -> None:
    before, month = of_before(numbered_9), numbered_9.row("SELECT started_at FROM archiver.months")[0]

    assert own_schema.ready(numbered_9)

    assert of_before(numbered_9, "_before_10") == before
    records = archive_record.read_if_any(numbered_9)
    assert [(each.tenant_id, each.state, each.tenant_name) for each in records] == [
        (13, State.ARCHIVED, "Lincoln"),
        (14, State.DELETING, 'a "name"\\'),
    ]
    first = records[0]
    assert (str(first.partial[0]), first.recipients, first.kept) == (
        "classroom 4",
        ("age1a", "age1b"),
        {"master.users": 3},
    )
    assert first.members["master/schools.copy"].sha256 == "ab"
    assert [(each.month, each.started_at) for each in month_record.every(numbered_9)] == [("2014-03", month)]
    [orphans, slice_of_13] = slice_record.of_archive(numbered_9, month_record.every(numbered_9)[0])
    assert (orphans.tenant_id, slice_of_13.tenant_id, slice_of_13.deleted_rows) == (0, 13, 4)
    purges = purge_record.every(numbered_9)
    assert [(each.id, each.ids, each.state) for each in purges] == [
        (1, (7, 9), State.ARCHIVED),
        (2, (8,), State.RESTORED),
    ]
    [loading] = move_record.interrupted(numbered_9)
    assert (loading.tenant_id, loading.source, loading.offsets[0].plus) == (13, "shard_1", 100)
    assert [each.turn for each in archives.every(numbered_9) if each.kind is Kind.MOVE] == [None, 4]
    assert holds.on_hold(numbered_9) == {13}
    assert [each.id for each in id_index.holders(numbered_9, "students", 2)] == [1]
    assert ledger.new_purge(numbered_9) == 3
    assert move_record.plan(numbered_9, TENANT, ROUTE, 2013, "s3://new").id == 3  # no other kind had it


def test_the_tables_of_before_are_read_only(empty: str, numbered_9: Session) -> None:
    own_schema.prepare(numbered_9)

    for table in BEFORE_10:
        for write in ("UPDATE archiver.{} SET year = 1", "DELETE FROM archiver.{}", "TRUNCATE archiver.{} CASCADE"):
            if table == "month_slices" and "UPDATE" in write:
                continue
            with (
                closing(psycopg2.connect(empty)) as link,
                link.cursor() as cursor,
                pytest.raises(psycopg2.errors.RaiseException, match=f"{table}_before_10 is read-only: its rows are"),
            ):
                cursor.execute(write.format(f"{table}_before_10"))


def statements(migration: Migration) -> list[str]:
    """The statements of a migration, one by one."""
    parts: list[str] = []
    for part in re.split(r"(?<=;)\n", migration.statements):
        if parts and parts[-1].count("$$") % 2:
            parts[-1] += f"\n{part}"
        else:
            parts.append(part)
    return parts


def test_a_migration_killed_at_each_statement_changed_nothing_and_runs_again(empty: str, numbered_9: Session) -> None:
    before, shape, each = of_before(numbered_9), numbered_9.rows(SHAPE), statements(TEN)
    assert len(each) > 20
    for killed_after in range(1, len(each)):
        with closing(psycopg2.connect(empty)) as link, link.cursor() as cursor:
            for statement in each[:killed_after]:
                cursor.execute(statement)
        assert (numbered_9.rows(SHAPE), of_before(numbered_9)) == (shape, before), each[killed_after]

    own_schema.prepare(numbered_9)

    assert (version(numbered_9), of_before(numbered_9, "_before_10")) == ([(NUMBER, VERSION)], before)


DIFFERING = r"Bringing the archiver's tables on .* to number 10 refused: the copy of their rows differs from them"


@pytest.mark.parametrize(
    ("copied", "wrong"),
    [
        ("'purge', id, id::text, year", "'purge', id, id::text, year + 1"),
        ("start, size, sha256, rows, went, stayed FROM", "start, size, sha256, rows, went, went FROM"),
        ("FROM archiver.records;", "FROM archiver.records LIMIT 1;"),
        ("'month', id, to_json(month)", "'month', id, to_json(shard)"),
        ("'move', id, tenant_id::text, year, source", "'move', id, tenant_id::text, year, target"),
    ],
    ids=["purge", "slice", "tenant", "month", "move"],
)
def test_a_copy_that_differs_is_refused_and_nothing_changed(numbered_9: Session, copied: str, wrong: str) -> None:
    before, shape = of_before(numbered_9), numbered_9.rows(SHAPE)
    assert TEN.statements.count(copied) == 1
    migrations = (*own_migrations()[:9], Migration(10, TEN.name, TEN.statements.replace(copied, wrong)))

    with pytest.raises(RefusedError, match=DIFFERING) as refused:
        own_schema.prepare(numbered_9, migrations)

    assert "added or changed by hand? Set them back, and run this again." in refused.value.hint
    assert (numbered_9.rows(SHAPE), of_before(numbered_9)) == (shape, before)


def test_a_column_that_was_added_by_hand_is_not_left_behind(numbered_9: Session) -> None:
    numbered_9.execute("ALTER TABLE archiver.moves ADD COLUMN note text")
    with pytest.raises(RefusedError, match=DIFFERING):
        own_schema.prepare(numbered_9)
    numbered_9.execute("ALTER TABLE archiver.moves DROP COLUMN note")

    assert own_schema.ready(numbered_9)


@pytest.mark.parametrize(
    ("spoiled", "problem"),
    [
        ("state = 'frozen' WHERE kind = 'tenant' AND id = 2", "tenant 2, state: expected one of .*, got 'frozen'"),
        ("key = '13 14' WHERE kind = 'tenant' AND id = 1", "tenant 1, key: expected a key in JSON, got '13 14'"),
        ("kind = 'people' WHERE kind = 'purge' AND id = 2", "record 2, kind: expected one of .*, got 'people'"),
    ],
    ids=["state", "key", "kind"],
)
def test_a_record_of_an_unknown_kind_state_or_key_is_refused_by_its_path(
    numbered_9: Session, spoiled: str, problem: str
) -> None:
    own_schema.prepare(numbered_9)
    numbered_9.execute(f"UPDATE archiver.archives SET {spoiled}")
    before = numbered_9.rows(ALL_OF.format("archives"))

    with pytest.raises(
        RefusedError, match=f"Reading the ledger on .* refused: archiver.archives, {problem}"
    ) as refused:
        archives.every(numbered_9)

    assert refused.value.hint == "Was it changed by hand? Set it back in archiver.archives. Nothing was changed."
    assert numbered_9.rows(ALL_OF.format("archives")) == before


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
