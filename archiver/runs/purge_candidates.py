"""Legacy users not seen since a date, and the live rows that still reference them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from archiver.checks.purge_references import references_to
from archiver.checks.purge_tables import legacy_of
from archiver.postgres.databases import Databases
from archiver.postgres.schema import identifier
from archiver.postgres.session import SQL, Composable, Identifier, Literal


@dataclass(frozen=True, kw_only=True)
class LegacyUser:
    """A legacy user, with the references from live rows."""

    id: int
    title: str
    role: str
    seen: datetime
    referenced_by: tuple[str, ...] = ()  # a table's column, with its number of rows; empty: may be purged


def legacy_users(databases: Databases, before: datetime) -> list[LegacyUser]:
    """Return every user of the legacy roles last seen before a time, with the references from live rows."""
    legacy = legacy_of(databases.model.catalog)
    query = SQL(
        "SELECT {key}, coalesce({title}::text, ''), {role}::text, {seen} FROM {table}"
        " WHERE {role}::text = ANY({roles}) AND {seen} < {before} ORDER BY {key}"
    ).format(
        key=Identifier(legacy.key),
        title=Identifier(legacy.title),
        role=Identifier(legacy.role),
        seen=SQL("coalesce({})").format(SQL(", ").join(map(_moment, legacy.seen))),
        table=identifier(legacy.table),
        roles=Literal(list(legacy.roles)),
        before=Literal(before),
    )
    rows = databases.master.rows(query, doing=f"looking for legacy {legacy.table}")
    references = references_to(databases, [row[0] for row in rows])
    return [
        LegacyUser(id=row[0], title=row[1], role=row[2], seen=row[3], referenced_by=tuple(references.get(row[0], ())))
        for row in rows
    ]


def _moment(column: str) -> Composable:
    return SQL("{}::timestamptz").format(Identifier(column))
