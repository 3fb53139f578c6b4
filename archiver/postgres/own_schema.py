"""The archiver's own tables, in schema `archiver` of every database: outside the catalog, and outside every archive.

`own_schema.sql` creates them by numbered migrations; `archiver.version` holds the number of the last one. Tables of a
newer version of this tool are refused: archives could be lost if their columns were misread.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from archiver.postgres.operator import TOOL_VERSION
from archiver.postgres.session import DatabaseError, Session
from errors import RefusedError

_HEAD = re.compile(r"^-- migration (\d+): (.+)$", re.MULTILINE)
_DIFFERS = "AR010"  # the SQLSTATE that such a migration raises
_LOOKING, _MAKING = "looking for the archiver's tables", "making the archiver's tables"


@dataclass(frozen=True)
class Migration:
    """The statements that lead from one number of the tables to the next."""

    number: int
    name: str
    statements: str


def migrations_in(text: str) -> tuple[Migration, ...]:
    """Return the migrations of a file.

    Raise ValueError if their numbers are not 1, 2, 3 and so on, or statements stand before the first.
    """
    before, *parts = _HEAD.split(text)
    heads = zip(parts[0::3], parts[1::3], parts[2::3], strict=True)
    migrations = tuple(Migration(int(number), name, statements) for number, name, statements in heads)
    if not migrations or [migration.number for migration in migrations] != list(range(1, len(migrations) + 1)):
        numbers = ", ".join(str(migration.number) for migration in migrations)
        raise ValueError(f"expected migrations numbered 1, 2, 3 and so on, got {numbers or 'none'}")
    if any(line and not line.startswith("--") for line in before.splitlines()):
        raise ValueError("statements stand before the first migration")
    return migrations


@cache
def own_migrations() -> tuple[Migration, ...]:
    """Return the migrations of `own_schema.sql`, which is read once."""
    return migrations_in(Path(__file__).with_name("own_schema.sql").read_text(encoding="utf-8"))


def prepare(session: Session, migrations: Sequence[Migration] | None = None) -> None:
    """Create the schema `archiver` if it is missing, or bring it up to date; the same in master and on every shard.

    Raise RefusedError as `refuse_newer` does. `migrations` are those of `own_schema.sql` if not given.
    """
    migrations = own_migrations() if migrations is None else migrations
    for migration in migrations[_number(session, migrations) :]:
        _migrate(session, migration, migrations)


def ready(session: Session) -> bool:
    """True if the tables exist; those that an older version of this tool made are first brought up to date.

    Raise RefusedError as `refuse_newer` does.
    """
    number = _number(session, own_migrations())
    if number == 0 and not exists(session, "records"):
        return False
    if number < len(own_migrations()):
        prepare(session)
    return True


def refuse_newer(session: Session) -> None:
    """Raise RefusedError if a newer version of this tool made the tables, or their number is not known."""
    _number(session, own_migrations())


def _migrate(session: Session, migration: Migration, migrations: Sequence[Migration]) -> None:
    try:
        with session.transaction(doing=_MAKING):
            session.execute("SELECT pg_advisory_xact_lock(hashtextextended('cutover prepare', 0))", doing=_MAKING)
            if _number(session, migrations) < migration.number:  # else another session ran it meanwhile
                session.execute(migration.statements, doing=_MAKING)
                session.execute(_WRITE, (migration.number, TOOL_VERSION), doing=_MAKING)
    except DatabaseError as error:
        if error.code == _DIFFERS:
            raise _differing(session, migration) from error
        if not error.code.startswith("P0"):
            raise
        raise _with_event_triggers(session, error) from error


def _differing(session: Session, migration: Migration) -> RefusedError:
    """Return the error for a migration whose copy of the rows was not what it had copied."""
    return RefusedError(
        f"Bringing the archiver's tables on {session.where} to number {migration.number} refused: the copy of their "
        "rows differs from them. Nothing was changed.",
        hint="Were columns of tables in schema archiver added or changed by hand? Set them back, and run this again.",
    )


def _with_event_triggers(session: Session, error: DatabaseError) -> DatabaseError:
    """Return an error that the product's own code raised, with the event triggers that may have done so."""
    names = [row[0] for row in session.rows(_EVENT_TRIGGERS, doing="reading the event triggers")]
    first = "; ".join(f"ALTER EVENT TRIGGER {name} DISABLE" for name in names)
    hint = f"An event trigger may forbid it. For this command alone, run: {first}" if names else error.hint
    return DatabaseError(str(error), code=error.code, hint=hint)


def _number(session: Session, migrations: Sequence[Migration]) -> int:
    """Return the number of the last migration that ran; 0 if there are no tables, or only tables without a number."""
    if not exists(session, "version"):
        _refuse_foreign(session, migrations[0])
        return 0
    rows = session.rows("SELECT to_jsonb(v) FROM archiver.version v", doing=_LOOKING)
    version: dict[str, Any] = rows[0][0] if len(rows) == 1 else {}
    number = version.get("number")
    if not isinstance(number, int) or number < 1:
        raise RefusedError(
            f"Opening the archiver's tables on {session.where} refused: archiver.version does not say their number.",
            hint="It has one row, with the number of the last migration. Was it changed by hand?",
        )
    if number > len(migrations):
        raise RefusedError(
            f"Opening the archiver's tables on {session.where} refused: they have number {number}, made by version "
            f"{version.get('tool')} of this tool; this one, {TOOL_VERSION}, knows numbers up to {len(migrations)}.",
            hint="Use that version of the tool, or a newer one.",
        )
    return number


def _refuse_foreign(session: Session, first: Migration) -> None:
    """Raise RefusedError if a schema of this name without a number has tables that no version of this tool made."""
    own = sorted({*_MADE.findall(first.statements)})
    if foreign := [row[0] for row in session.rows(_FOREIGN, (own,), doing=_LOOKING)]:
        raise RefusedError(
            f"Opening the archiver's tables on {session.where} refused: schema archiver there is the product's own, "
            f"with {', '.join(foreign)}. This tool has its own tables in a schema of that name.",
            hint="Give the product's schema another name there: ALTER SCHEMA archiver RENAME TO …",
        )


def exists(session: Session, table: str) -> bool:
    """True if this database has such a table of the archiver's."""
    # Not to_regclass: in a transaction that waited for the lock, it still answers as before the other COMMIT.
    return session.row(_EXISTS, (table,), doing=_LOOKING) is not None


_EVENT_TRIGGERS = "SELECT evtname FROM pg_event_trigger WHERE evtenabled IN ('O', 'A') ORDER BY evtname"
_EXISTS = """
SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = 'archiver' AND relname = %s
"""
_MADE = re.compile(r"\barchiver\.(\w+)")
_FOREIGN = """
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE nspname = 'archiver' AND relkind IN ('r', 'p', 'v', 'm', 'f') AND (
    c.relname <> ALL (%s)
    OR c.relname = 'records' AND NOT EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND attname = 'tenant_name' AND NOT attisdropped
    )
)
ORDER BY c.relname LIMIT 5
"""
_WRITE = """
INSERT INTO archiver.version (number, tool, at) VALUES (%s, %s, now())
ON CONFLICT (one) DO UPDATE SET number = excluded.number, tool = excluded.tool, at = excluded.at
"""
