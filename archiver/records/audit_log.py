"""The append-only log: which operator did what to which tenant, and when; each entry is chained to the one before."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any, Protocol

from archiver.postgres.operator import host, operator
from archiver.postgres.own_schema import ready
from archiver.postgres.session import DatabaseError, Session
from archiver.records.log_chain import NO_ENTRY, TEXT, chained
from archiver.records.markers import Marked
from errors import RefusedError
from inventory.keys import Key, key_of_text, key_text


class Logged(Protocol):
    """A record that the log can name."""

    @property
    def id(self) -> int:
        """The record's number."""

    @property
    def tenant_id(self) -> Key:
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
    act: str  # archive, restore, verify, drop, drop activity, move, cat, query, find, accept, adopt
    tenant_id: Key
    year: int
    record_id: int
    details: Mapping[str, Any]  # counts and digests

    def to_json(self) -> dict[str, Any]:
        """Return plain data, with the time in ISO format."""
        return {**asdict(self), "at": self.at.isoformat()}


def log(session: Session, act: str, record: Logged, details: Mapping[str, object]) -> None:
    """Append an entry for one tenant, as `log_all` does."""
    log_all(session, act, [record], [details])


def closing(record: Marked, location: str, shard: str) -> dict[str, object]:
    """Return the details by which the log closes the markers of a record that is deleted: see open_markers.

    `shard` is where the rows lay, or were loaded.
    """
    return {"location": location, "shard": shard, "started_at": record.started_at.isoformat()}


def closed_locations(session: Session, locations: Sequence[str]) -> set[str]:
    """Return those of these locations whose archives the log says were restored or dropped."""
    query = (
        "SELECT details ->> 'location' FROM archiver.log"
        " WHERE act IN ('restore', 'drop') AND details ->> 'location' = ANY(%s)"
    )
    rows = session.rows(query, (list(locations),), doing="reading the log") if ready(session) else []
    return {row[0] for row in rows}


def closed_slices(session: Session, location: str) -> set[Key]:
    """Return the tenants whose slices of a month's object the log says were restored or dropped."""
    acts = "act IN ('restore activity', 'drop activity')"
    query = f"SELECT key FROM archiver.log WHERE {acts} AND details ->> 'location' = %s"  # noqa: S608 - own words
    rows = session.rows(query, (location,), doing="reading the log") if ready(session) else []
    return {key_of_text(row[0]) for row in rows}


def log_all(session: Session, act: str, records: Sequence[Logged], details: Sequence[Mapping[str, object]]) -> None:
    """Append an entry for each record; `details` are in the order of the records.

    Call it in the transaction of the act, as late as possible: until it ends, no other session can write to the log.
    """
    if not records:
        return
    subjects = (
        [key_text(record.tenant_id) for record in records],
        *([getattr(record, name) for record in records] for name in ("year", "id")),
        [json.dumps(detail) for detail in details],
    )
    written = (operator(), host(), act)
    rows = session.rows(_NEXT, (*written, *subjects), doing="reading the end of the log")
    digests = chained(rows[0][3] or NO_ENTRY, [text for _, _, text, _ in rows])
    args = ([row[0] for row in rows], *subjects, digests[:-1], digests[1:])
    session.execute(_WRITE, (rows[0][1], *written, *args), doing="writing the log")


def lock(session: Session) -> None:
    """Keep other sessions from writing to the log until the transaction ends."""
    session.execute(_LOCK, doing="locking the log")


# Each statement of a message has a snapshot of its own, so that the second sees the entry for which the first waited.
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended('cutover log', 0))"
_NEXT = f"""
{_LOCK};
WITH last AS (SELECT id, sha256 FROM archiver.log ORDER BY id DESC LIMIT 1), entry AS (
    SELECT coalesce((SELECT id FROM last), 0) + w.number AS id, now() AS at, %s::text AS operator, %s::text AS host,
           %s::text AS act, w.key, w.year, w.record_id, w.details
      FROM unnest(%s::text[], %s::integer[], %s::bigint[], %s::jsonb[])
      WITH ORDINALITY w (key, year, record_id, details, number)
)
SELECT id, at, {TEXT}, (SELECT sha256 FROM last) FROM entry ORDER BY id
"""  # noqa: S608 - all of it is the archiver's own words
_WRITE = """
INSERT INTO archiver.log (at, operator, host, act, id, key, year, record_id, details, before, sha256)
SELECT %s, %s, %s, %s, w.*
  FROM unnest(%s::bigint[], %s::text[], %s::integer[], %s::bigint[], %s::jsonb[], %s::text[], %s::text[]) w
"""


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
    "42501": "In master, run: GRANT SELECT, INSERT ON archiver.log TO <the role of this connection>",
}


def entries(
    session: Session, tenant_id: Key | None = None, year: int | None = None, act: str = ""
) -> tuple[Entry, ...]:
    """Return the entries that match every given filter, oldest first; empty if nothing was ever archived."""
    if not ready(session):
        return ()
    key = None if tenant_id is None else key_text(tenant_id)
    filters = {"key": key, "year": year, "act": act or None}
    given = {name: value for name, value in filters.items() if value is not None}
    condition = " AND ".join(["true", *(f"{name} = %s" for name in given)])
    query = f"SELECT {', '.join(_COLUMNS.values())} FROM archiver.log WHERE {condition} ORDER BY id"  # noqa: S608 - this file's own words
    rows = session.rows(query, tuple(given.values()), doing="reading the log")
    return tuple(_entry(dict(zip(_COLUMNS, row, strict=True))) for row in rows)


def _entry(row: dict[str, Any]) -> Entry:
    return Entry(**{**row, "tenant_id": key_of_text(row["tenant_id"])})


_COLUMNS = {field.name: "key" if field.name == "tenant_id" else field.name for field in fields(Entry)}
