"""Noted beside the records: who did what, markers by which a lost COMMIT is settled, and deleted keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

from archiver.postgres.operator import host, operator
from archiver.postgres.own_schema import read, ready
from archiver.postgres.session import Session
from archiver.records.archive_record import ArchiveState, Record


class Marked(Protocol):
    """What a marker tells of: a record, of a tenant or of a month."""

    @property
    def id(self) -> int:
        """Its number; with the moment no other's."""

    @property
    def started_at(self) -> datetime:
        """When its work began."""


class Logged(Protocol):
    """What the log tells of."""

    @property
    def id(self) -> int:
        """The record's number."""

    @property
    def tenant_id(self) -> int:
        """Whose rows."""

    @property
    def year(self) -> int:
        """Of which school year."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the log: who did what to which tenant."""

    id: int
    at: datetime
    operator: str
    host: str
    act: str  # archive, restore, verify, drop, move
    tenant_id: int
    year: int
    record_id: int
    details: Mapping[str, Any]  # counts and digests

    def to_json(self) -> dict[str, Any]:
        """Plain data, the time in ISO format."""
        return {**asdict(self), "at": self.at.isoformat()}


def log(session: Session, act: str, record: Logged, details: Mapping[str, object]) -> None:
    """Appends to the log who did what to which tenant; belongs into the transaction of the act."""
    session.execute(
        "INSERT INTO archiver.log (operator, host, act, tenant_id, year, record_id, details)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (operator(), host(), act, record.tenant_id, record.year, record.id, json.dumps(details)),
        doing="writing the log",
    )


def log_all(session: Session, act: str, records: Sequence[Record], details: Sequence[Mapping[str, object]]) -> None:
    """The same of many tenants at once."""
    session.execute(
        "INSERT INTO archiver.log (operator, host, act, tenant_id, year, record_id, details)"
        " SELECT %s, %s, %s, w.* FROM unnest(%s::bigint[], %s::integer[], %s::bigint[], %s::jsonb[]) w",
        (
            *(operator(), host(), act),
            *([getattr(record, name) for record in records] for name in ("tenant_id", "year", "id")),
            [json.dumps(one) for one in details],
        ),
        doing="writing the log",
    )


def entries(
    session: Session, tenant_id: int | None = None, year: int | None = None, act: str = ""
) -> tuple[Entry, ...]:
    """The log's entries that match what is given, oldest first; none where nothing was ever archived."""
    if not ready(session):
        return ()
    given = {"tenant_id": tenant_id, "year": year, "act": act or None}
    wanted = {name: value for name, value in given.items() if value is not None}
    condition = " AND ".join(["true", *(f"{name} = %s" for name in wanted)])
    rows = read(session, "log", Entry, f"WHERE {condition} ORDER BY id", tuple(wanted.values()))
    return tuple(Entry(**row) for row in rows)


def mark(session: Session, record: Marked, act: str, content: Mapping[str, Any]) -> None:
    """Leaves a marker in a shard, in the transaction of the act: by it a lost COMMIT can be settled.

    It carries the moment at which the record began: a master that was set back gives ids out twice.
    """
    session.execute(
        "INSERT INTO archiver.markers (record_id, started_at, act, content) VALUES (%s, %s, %s, %s)",
        (record.id, record.started_at, act, json.dumps(content, default=str)),
        doing="writing the marker",
    )


def marked(session: Session | None, record: Marked, act: str) -> dict[str, Any] | None:
    """What the marker of an act holds, or None where the act did not happen, or there is no shard to mark."""
    if session is None:
        return None
    row = session.row(f"SELECT content {_OWN} AND act = %s", (*_own(record), act), doing="looking for a marker")
    return row[0] if row else None


def marked_of(session: Session, records: Sequence[Record], act: str) -> dict[int, dict[str, Any]]:
    """What the markers of an act hold, by tenant, of those records of which it happened."""
    rows = session.rows(
        "SELECT w.tenant_id, m.content FROM archiver.markers m"
        " JOIN unnest(%s::bigint[], %s::timestamptz[], %s::bigint[]) w (record_id, started_at, tenant_id)"
        " USING (record_id, started_at) WHERE act = %s",
        (
            [record.id for record in records],
            [record.started_at for record in records],
            [record.tenant_id for record in records],
            act,
        ),
        doing="looking for markers",
    )
    return dict(rows)


def mark_all(session: Session, records: Sequence[Record], act: str, contents: Sequence[Mapping[str, Any]]) -> None:
    """Leaves a marker of the same act for each of these records."""
    session.execute(
        "INSERT INTO archiver.markers (record_id, started_at, act, content)"
        " SELECT record_id, started_at, %s, content"
        " FROM unnest(%s::bigint[], %s::timestamptz[], %s::jsonb[]) w (record_id, started_at, content)",
        (
            act,
            [record.id for record in records],
            [record.started_at for record in records],
            [json.dumps(content, default=str) for content in contents],
        ),
        doing="writing the markers",
    )


def acts(session: Session | None, record: Record) -> set[str]:
    """The acts of which a record's markers tell."""
    if session is None:
        return set()
    rows = session.rows(f"SELECT act {_OWN}", _own(record), doing="looking for markers")
    return {row[0] for row in rows}


def unmark(session: Session, record: Marked, act: str) -> None:
    """Takes a marker away, in the transaction that undoes the act."""
    session.execute(f"DELETE {_OWN} AND act = %s", (*_own(record), act), doing="taking a marker away")


# Markers that an older version of this tool left carry no moment of their own.
_OWN = "FROM archiver.markers WHERE record_id = %s AND started_at IN (%s, 'epoch')"


def _own(record: Marked) -> tuple[int, datetime]:
    return record.id, record.started_at


def remember_deleted(session: Session, record: Record, gone: Mapping[str, Sequence[int]]) -> None:
    """Notes the keys of deleted rows, by table, so that it can be looked up later that nothing names them."""
    for table, ids in gone.items():
        session.execute(
            "INSERT INTO archiver.gone (record_id, table_name, ids) VALUES (%s, %s, %s::bigint[])",
            (record.id, table, list(ids)),
            doing="noting the deleted keys",
        )


def forget_deleted(session: Session, record: Record, back: Mapping[str, Sequence[int]]) -> None:
    """Takes keys of rows that are live again from those noted as deleted, by table."""
    for table, ids in back.items():
        session.execute(
            "UPDATE archiver.gone SET ids = ARRAY(SELECT unnest(ids) EXCEPT SELECT unnest(%s::bigint[]))"
            " WHERE record_id = %s AND table_name = %s",
            (list(ids), record.id, table),
            doing="noting the keys that are live again",
        )


def deleted_keys(session: Session, year: int, table: str) -> dict[int, list[int]]:
    """The keys of a table's deleted rows, by archived tenant."""
    return dict(
        session.rows(
            "SELECT r.tenant_id, g.ids FROM archiver.gone g JOIN archiver.records r ON r.id = g.record_id"
            " WHERE r.year = %s AND g.table_name = %s AND r.state = %s",
            (year, table, ArchiveState.ARCHIVED.value),
            doing="reading the deleted keys",
        )
    )
