"""The append-only log: which operator did what to which tenant, and when."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Protocol

from archiver.postgres.operator import host, operator
from archiver.postgres.own_schema import read, ready
from archiver.postgres.session import DatabaseError, Session
from archiver.records.archive_record import Record
from archiver.records.markers import Marked
from errors import RefusedError


class Logged(Protocol):
    """A record that the log can name."""

    @property
    def id(self) -> int:
        """The record's number."""

    @property
    def tenant_id(self) -> int:
        """The tenant that owns the rows."""

    @property
    def year(self) -> int:
        """The school year of the archive."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A line of the log."""

    id: int
    at: datetime
    operator: str
    host: str
    act: str  # archive, restore, verify, drop, move, cat, query, find
    tenant_id: int
    year: int
    record_id: int
    details: Mapping[str, Any]  # counts and digests

    def to_json(self) -> dict[str, Any]:
        """Return plain data, with the time in ISO format."""
        return {**asdict(self), "at": self.at.isoformat()}


def log(session: Session, act: str, record: Logged, details: Mapping[str, object]) -> None:
    """Append an entry for one tenant. Call it in the transaction of the act."""
    session.execute(
        "INSERT INTO archiver.log (operator, host, act, tenant_id, year, record_id, details)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        (operator(), host(), act, record.tenant_id, record.year, record.id, json.dumps(details)),
        doing="writing the log",
    )


def closing(record: Marked, location: str, shard: str) -> dict[str, object]:
    """Return the details by which the log closes the markers of a record that is deleted: see open_markers.

    `shard` is where the rows lay, or were loaded.
    """
    return {"location": location, "shard": shard, "started_at": record.started_at.isoformat()}


def log_all(session: Session, act: str, records: Sequence[Record], details: Sequence[Mapping[str, object]]) -> None:
    """Append an entry for each record, in one statement; `details` are in the order of the records."""
    session.execute(
        "INSERT INTO archiver.log (operator, host, act, tenant_id, year, record_id, details)"
        " SELECT %s, %s, %s, w.* FROM unnest(%s::bigint[], %s::integer[], %s::bigint[], %s::jsonb[]) w",
        (
            *(operator(), host(), act),
            *([getattr(record, name) for record in records] for name in ("tenant_id", "year", "id")),
            [json.dumps(detail) for detail in details],
        ),
        doing="writing the log",
    )


def log_reading(session: Session, act: str, records: Sequence[Logged], details: Mapping[str, object]) -> None:
    """Append an entry for each record whose archive is about to be read, and commit.

    Raises RefusedError if master can't be written: personal data is not read without a trace.
    """
    try:
        with session.transaction(doing="writing the log"):
            for record in records:
                log(session, act, record, details)
    except DatabaseError as error:
        if error.code not in _HINTS:
            raise
        raise RefusedError(
            f"Reading an archive refused: who reads is written to archiver.log first, and there that failed. {error}",
            hint=_HINTS[error.code],
        ) from error


_HINTS = {
    "25006": "A standby or read-only sessions? Name in the inventory the server that takes writes as master.",
    "42501": "In master, run: GRANT INSERT ON archiver.log TO <the role of this connection>",
}


def entries(
    session: Session, tenant_id: int | None = None, year: int | None = None, act: str = ""
) -> tuple[Entry, ...]:
    """Return the entries that match every given filter, oldest first; empty if nothing was ever archived."""
    if not ready(session):
        return ()
    filters = {"tenant_id": tenant_id, "year": year, "act": act or None}
    given = {name: value for name, value in filters.items() if value is not None}
    condition = " AND ".join(["true", *(f"{name} = %s" for name in given)])
    rows = read(session, "log", Entry, f"WHERE {condition} ORDER BY id", tuple(given.values()))
    return tuple(Entry(**row) for row in rows)
