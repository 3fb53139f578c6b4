"""The rows that must be left when schools are archived, by SQL written apart from the archiver's code and catalog."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg2
from psycopg2.extensions import cursor as Cursor  # noqa: N812 (a class, named like a function)
from psycopg2.sql import SQL, Composed, Identifier

from tests.oracle_rows import (
    LEAVING_MASTER,
    LEAVING_SHARD,
    REMAINING_STUDENTS,
    STAYING_AT_PROMOTE,
    STAYING_AT_STUDENTS,
    WHO,
)

MASTER = "master"
SETTINGS = (
    "SET client_encoding = 'UTF8'; SET datestyle = 'ISO, YMD'; SET intervalstyle = 'postgres'; SET timezone = 'UTC';"
    "SET extra_float_digits = 3; SET bytea_output = 'hex'; SET search_path = 'public'; SET row_security = off"
)
Lines = list[bytes]  # COPY text, sorted


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """Every row of every table in schema public, and where the sequences stand; by database."""

    tables: Mapping[str, Mapping[str, Lines]]
    sequences: Mapping[str, Mapping[str, int | None]]  # None: never asked for a number

    def count(self, database: str, table: str) -> int:
        """Return the number of rows of a table."""
        return len(self.tables[database][table])


def snapshot(dsns: Mapping[str, str]) -> Snapshot:
    """Read all of these databases (name: libpq DSN), each in one moment."""
    with _cursors(dsns) as cursors:
        return _read(cursors)


def expected_after_archive(
    dsns: Mapping[str, str], school_id: int, depth: str, before: Snapshot | None = None
) -> Snapshot:
    """Return the rows left once this school is archived from the present state, to that depth."""
    return expected_after_archiving(dsns, [school_id], depth, before)


def expected_after_archiving(
    dsns: Mapping[str, str], school_ids: Collection[int], depth: str, before: Snapshot | None = None
) -> Snapshot:
    """Return the rows left once these schools are archived, in any order; raise LookupError where one is not live.

    `before` spares the reading of the present state where the caller has it in hand.
    """
    with _cursors(dsns) as cursors:
        before = before or _read(cursors)
        return less(before, _leaving(cursors, school_ids, depth))


def less(one: Snapshot, leaving: Mapping[str, Mapping[str, Lines]]) -> Snapshot:
    """A snapshot without these rows, by database and table, which must all be there."""
    tables = {
        database: {table: _without(rows, leaving.get(database, {}).get(table, [])) for table, rows in each.items()}
        for database, each in one.tables.items()
    }
    return Snapshot(tables=tables, sequences=one.sequences)


def rows_where(dsn: str, wheres: Mapping[str, str], args: Mapping[str, Any]) -> Mapping[str, Lines]:
    """The rows of some tables of one database that hold their conditions; the table is `t`."""
    with _cursors({"": dsn}) as cursors:
        return _lines_where(cursors[""], wheres, args)


def together(one: Snapshot, more: Mapping[str, Mapping[str, Lines]]) -> Snapshot:
    """A snapshot with these rows as well, by database and table; those that it has already stand there once."""
    tables = {
        database: {
            table: sorted((Counter(rows) | Counter(more.get(database, {}).get(table, []))).elements())
            for table, rows in each.items()
        }
        for database, each in one.tables.items()
    }
    return Snapshot(tables=tables, sequences=one.sequences)


def difference(expected: Snapshot, actual: Snapshot, *, first: int = 3) -> str:
    """The first missing and the first unexpected rows of each table that differs; empty when nothing does."""
    parts: list[str] = []
    for database in sorted({*expected.tables, *actual.tables}):
        wanted, got = expected.tables.get(database, {}), actual.tables.get(database, {})
        for table in sorted({*wanted, *got}):
            parts += _table_difference(f"{database}.{table}", wanted.get(table, []), got.get(table, []), first)
        if (want := expected.sequences.get(database)) != (have := actual.sequences.get(database)):
            parts.append(f"{database}: sequences expected {want}, got {have}")
    return "\n".join(parts)


def _table_difference(name: str, wanted: Lines, got: Lines, first: int) -> Iterator[str]:
    if wanted == got:
        return
    missing, extra = Counter(wanted) - Counter(got), Counter(got) - Counter(wanted)
    yield f"{name}: {missing.total()} rows missing, {extra.total()} unexpected (expected {len(wanted)}, got {len(got)})"
    for sign, rows in (("-", missing), ("+", extra)):
        for row in sorted(rows.elements())[:first]:
            yield f"  {sign} {row[:300]!r}"


def _without(rows: Lines, leaving: Lines) -> Lines:
    """Multiset subtraction; what leaves must have been there."""
    left = Counter(leaving)
    kept = [row for row in rows if not _taken(left, row)]
    assert not left.total(), f"the oracle subtracts rows that are not there: {list(left.elements())[:3]}"
    return kept


def _taken(left: Counter[bytes], row: bytes) -> bool:
    if left[row]:
        left[row] -= 1
        return True
    return False


def _leaving(
    cursors: Mapping[str, Cursor], school_ids: Collection[int], depth: str
) -> Mapping[str, Mapping[str, Lines]]:
    """The rows that leave each database."""
    shards = {name: cursor for name, cursor in cursors.items() if name != MASTER}
    classrooms = _classrooms(cursors[MASTER], school_ids)
    mine = {name: {"classrooms": classrooms.get(name, [])} for name in shards}
    stay, enrolled = set[int](), set[int]()
    for name, cursor in shards.items():
        stay |= _ids(cursor, REMAINING_STUDENTS, mine[name])
        enrolled |= _ids(cursor, WHO["enrolled"], mine[name])
    args = _people(cursors[MASTER], school_ids, [number for each in classrooms.values() for number in each])
    leaving = (set(args["listed"]) | enrolled) - set(args["listed elsewhere"]) - stay
    promoted = depth == "promote"
    found = _ids(cursors[MASTER], WHO["live students"], {"students": sorted(leaving)})
    args["students"] = [] if promoted else sorted(found)
    args["gone"] = list(school_ids) if depth == "all" else []
    staying = {"all": frozenset[str](), "students": STAYING_AT_STUDENTS, "promote": STAYING_AT_PROMOTE}[depth]
    master = {table: where for table, where in LEAVING_MASTER.items() if table not in staying}
    return {
        MASTER: _lines_where(cursors[MASTER], master, args),
        **{name: _lines_where(cursor, LEAVING_SHARD, mine[name]) for name, cursor in shards.items()},
    }


def _classrooms(master: Cursor, school_ids: Collection[int]) -> dict[str, list[int]]:
    """The schools' classrooms by shard."""
    master.execute("SELECT id, shard FROM schools WHERE id = ANY(%s)", (list(school_ids),))
    shards = dict(master.fetchall())
    if missing := set(school_ids) - set(shards):
        raise LookupError(f"no live school {sorted(missing)}")
    master.execute("SELECT school_id, id FROM classrooms WHERE school_id = ANY(%s)", (list(school_ids),))
    found: dict[str, list[int]] = {}
    for school_id, classroom_id in master.fetchall():
        found.setdefault(shards[school_id], []).append(classroom_id)
    return found


def _people(master: Cursor, school_ids: Collection[int], classrooms: list[int]) -> dict[str, list[int]]:
    """Return the people that the schools' rows name, and the users of them that no remaining row references."""
    args = {"schools": list(school_ids), "classrooms": classrooms}
    listed = {
        name: _ids(master, WHO[name], args) for name in ("listed", "listed elsewhere", "staff", "staff elsewhere")
    }
    leaving = {"users": sorted(listed["staff"] - listed["staff elsewhere"])}
    return {
        **args,
        "users": sorted(_ids(master, WHO["live users"], leaving)),
        **{name: sorted(found) for name, found in listed.items()},
    }


def _ids(cursor: Cursor, query: str, args: Mapping[str, Any]) -> set[int]:
    cursor.execute(query, args)
    return {row[0] for row in cursor.fetchall() if row[0] is not None}


def _read(cursors: Mapping[str, Cursor]) -> Snapshot:
    tables = {name: _all_lines(cursor) for name, cursor in cursors.items()}
    return Snapshot(tables=tables, sequences={name: _sequences(cursor) for name, cursor in cursors.items()})


def _all_lines(cursor: Cursor) -> dict[str, Lines]:
    return {table: _copy(cursor, _select(table, columns, "true"), {}) for table, columns in _columns(cursor).items()}


def _lines_where(cursor: Cursor, wheres: Mapping[str, str], args: Mapping[str, Any]) -> dict[str, Lines]:
    """The rows of each table that hold its condition, as sorted COPY lines."""
    columns = _columns(cursor)
    return {table: _copy(cursor, _select(table, columns[table], where), args) for table, where in wheres.items()}


def _select(table: str, columns: Sequence[str], where: str) -> Composed:
    names = SQL(", ").join(Identifier("t", column) for column in columns)
    return SQL("SELECT {} FROM {} t WHERE ").format(names, Identifier(table)) + SQL(where)


class _Lines:
    """A sink for COPY, which writes one row at a time."""

    def __init__(self) -> None:
        self.lines: Lines = []
        self.write = self.lines.append


def _copy(cursor: Cursor, query: Composed, args: Mapping[str, Any]) -> Lines:
    sink = _Lines()
    cursor.copy_expert("COPY (" + cursor.mogrify(query, args or None).decode() + ") TO STDOUT", sink)
    return sorted(sink.lines)


def _columns(cursor: Cursor) -> dict[str, list[str]]:
    """Return the columns of every base table, generated ones too; pg_catalog is thirty times faster than its views."""
    cursor.execute(
        "SELECT relname::text, array_agg(attname::text ORDER BY attnum)"
        "  FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid"
        " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND attnum > 0 AND NOT attisdropped"
        " GROUP BY relname"
    )
    return dict(cursor.fetchall())


def _sequences(cursor: Cursor) -> dict[str, int | None]:
    cursor.execute("SELECT sequencename::text, last_value FROM pg_sequences WHERE schemaname = 'public'")
    return dict(cursor.fetchall())


@contextmanager
def _cursors(dsns: Mapping[str, str]) -> Iterator[dict[str, Cursor]]:
    """A cursor in each database, in a read-only transaction with one snapshot."""
    with ExitStack() as stack:
        yield {name: _cursor(stack, dsn) for name, dsn in dsns.items()}


def _cursor(stack: ExitStack, dsn: str) -> Cursor:
    connection = psycopg2.connect(dsn, application_name="oracle")
    stack.callback(connection.close)
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    cursor = connection.cursor()
    cursor.execute(SETTINGS)
    return cursor
