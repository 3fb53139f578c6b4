"""The archiver's own tables, in schema `archiver` of every database: outside the catalog, and outside every archive.

`own_schema.sql` makes them, migration by migration; `archiver.version` says which was the last. What a newer version of
this tool made is refused: to read it by other columns' meaning would be to lose archives.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from archiver.postgres.operator import TOOL_VERSION
from archiver.postgres.session import Session
from errors import RefusedError

_HEAD = re.compile(r"^-- migration (\d+): (.+)$", re.MULTILINE)
_LOOKING, _MAKING = "looking for the archiver's tables", "making the archiver's tables"


@dataclass(frozen=True)
class Migration:
    """What leads from the tables of one number to those of the next."""

    number: int
    name: str
    statements: str


def migrations_in(text: str) -> tuple[Migration, ...]:
    """The migrations of a file; ValueError where their numbers are not 1, 2, 3 and so on, or statements have none."""
    before, *parts = _HEAD.split(text)
    heads = zip(parts[0::3], parts[1::3], parts[2::3], strict=True)
    found = tuple(Migration(int(number), name, statements) for number, name, statements in heads)
    if not found or [migration.number for migration in found] != list(range(1, len(found) + 1)):
        numbers = ", ".join(str(migration.number) for migration in found)
        raise ValueError(f"expected migrations numbered 1, 2, 3 and so on, got {numbers or 'none'}")
    if any(line and not line.startswith("--") for line in before.splitlines()):
        raise ValueError("statements stand before the first migration")
    return found


MIGRATIONS = migrations_in(Path(__file__).with_name("own_schema.sql").read_text(encoding="utf-8"))


def prepare(session: Session, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Makes the schema `archiver` where it is missing, and brings an older one up to date; the same in master and on
    every shard. RefusedError as `refuse_newer`."""
    for migration in migrations[_number(session, migrations) :]:
        _migrate(session, migration, migrations)


def ready(session: Session) -> bool:
    """Whether there is anything to read; tables that an older version of this tool made are brought up to date.

    RefusedError as `refuse_newer`.
    """
    number = _number(session, MIGRATIONS)
    if number == 0 and not _is_there(session, "records"):
        return False
    if number < len(MIGRATIONS):
        prepare(session)
    return True


def refuse_newer(session: Session) -> None:
    """RefusedError where a newer version of this tool made the tables, or they do not say which did."""
    _number(session, MIGRATIONS)


def read(session: Session, table: str, kind: type, rest: str, args: Sequence[object]) -> list[dict[str, Any]]:
    """Rows of one of these tables, by the names of a dataclass' fields; `rest` is the query after the table's name."""
    names = [field.name for field in fields(kind)]
    query = f"SELECT {', '.join(names)} FROM archiver.{table} {rest}"  # noqa: S608 - all of it is the archiver's own words
    rows = session.rows(query, args, doing=f"reading the {table}")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _migrate(session: Session, migration: Migration, migrations: Sequence[Migration]) -> None:
    with session.transaction(doing=_MAKING):
        session.execute("SELECT pg_advisory_xact_lock(hashtextextended('cutover prepare', 0))", doing=_MAKING)
        if _number(session, migrations) < migration.number:  # else somebody was quicker
            session.execute(migration.statements, doing=_MAKING)
            session.execute(_WRITE, (migration.number, TOOL_VERSION), doing=_MAKING)


def _number(session: Session, migrations: Sequence[Migration]) -> int:
    """The number of the last migration that ran; 0 where there is none: no tables, or those of before the numbers."""
    if not _is_there(session, "version"):
        return 0
    rows = session.rows("SELECT to_jsonb(v) FROM archiver.version v", doing=_LOOKING)
    said: dict[str, Any] = rows[0][0] if len(rows) == 1 else {}
    number = said.get("number")
    if not isinstance(number, int) or number < 1:
        raise RefusedError(
            f"Opening the archiver's tables on {session.where} refused: archiver.version does not say their number.",
            hint="It has one row, with the number of the last migration. Was it changed by hand?",
        )
    if number > len(migrations):
        raise RefusedError(
            f"Opening the archiver's tables on {session.where} refused: they have number {number}, made by version "
            f"{said.get('tool')} of this tool; this one, {TOOL_VERSION}, knows numbers up to {len(migrations)}.",
            hint="Use that version of the tool, or a newer one.",
        )
    return number


def _is_there(session: Session, table: str) -> bool:
    # Not to_regclass: in a transaction that waited for the lock it still answers as before the other's COMMIT.
    return session.row(_THERE, (table,), doing=_LOOKING) is not None


_THERE = """
SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'archiver' AND relname = %s
"""
_WRITE = """
INSERT INTO archiver.version (number, tool, at) VALUES (%s, %s, now())
ON CONFLICT (one) DO UPDATE SET number = excluded.number, tool = excluded.tool, at = excluded.at
"""
