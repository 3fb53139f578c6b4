"""Markers in a shard, written in the transaction of an act: they tell later whether a lost COMMIT took effect."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from archiver.catalog.model import MASTER
from archiver.postgres.databases import Databases
from archiver.postgres.session import Session
from archiver.records.archive_record import Record
from inventory.keys import Key

DELETED = "deleted"  # the act of a tenant's deletion in the shard
MOVED_IN, MOVED_OUT = "moved in", "moved out"  # the acts of a move in its target and in its source


class Marked(Protocol):
    """A record that a marker belongs to: a tenant's or a month's."""

    @property
    def id(self) -> int:
        """The record's number; unique only together with `started_at`."""

    @property
    def started_at(self) -> datetime:
        """The time at which the record's work began."""

    @property
    def location(self) -> str:
        """The location of the archive."""


class Ordered(Marked, Protocol):
    """A record with its place among all archives, months and moves."""

    @property
    def turn(self) -> int | None:
        """Its turn."""


def located(record: Ordered, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a marker of rows that go, with what master alone knew, for it may lose its record.

    That is the archive that holds them, and its turn: an archive follows the moves that came later.
    """
    return {**content, "location": record.location, "turn": record.turn}


def of_deletion(record: Record, content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a tenant's deletion: `located`, with what no manifest says, so that it can be adopted."""
    night = record.night and record.night.isoformat()
    return {**located(record, content), "depth": record.depth, "night": night}


def write(session: Session, record: Marked, act: str, content: Mapping[str, Any]) -> None:
    """Write a marker to a shard. Call it in the transaction of the act.

    The marker holds the time at which the record began: a master restored from a backup gives ids out twice.
    """
    session.execute(
        "INSERT INTO archiver.markers (record_id, started_at, act, content) VALUES (%s, %s, %s, %s)",
        (record.id, record.started_at, act, json.dumps(content, default=str)),
        doing="writing the marker",
    )


def write_all(session: Session, records: Sequence[Record], act: str, contents: Sequence[Mapping[str, Any]]) -> None:
    """Write a marker of rows that go for each record, in one statement; `contents` are in the order of the records."""
    session.execute(
        "INSERT INTO archiver.markers (record_id, started_at, act, content)"
        " SELECT record_id, started_at, %s, content"
        " FROM unnest(%s::bigint[], %s::timestamptz[], %s::jsonb[]) w (record_id, started_at, content)",
        (
            act,
            [record.id for record in records],
            [record.started_at for record in records],
            [
                json.dumps(of_deletion(record, each), default=str)
                for record, each in zip(records, contents, strict=True)
            ],
        ),
        doing="writing the markers",
    )


def read(session: Session | None, record: Marked, act: str) -> dict[str, Any] | None:
    """Return the content of a record's marker; None if the act did not happen, or there is no shard."""
    if session is None:
        return None
    row = session.row(f"SELECT content {_OWN} AND act = %s", (*_own(record), act), doing="looking for a marker")
    return row[0] if row else None


def read_all(session: Session, records: Sequence[Record], act: str) -> dict[Key, dict[str, Any]]:
    """Return the contents of an act's markers by tenant id; records without that marker are left out."""
    rows = session.rows(
        "SELECT record_id, content FROM archiver.markers"
        " JOIN unnest(%s::bigint[], %s::timestamptz[]) w (record_id, started_at) USING (record_id, started_at)"
        " WHERE act = %s",
        ([record.id for record in records], [record.started_at for record in records], act),
        doing="looking for markers",
    )
    tenant_ids = {record.id: record.tenant_id for record in records}
    return {tenant_ids[number]: content for number, content in rows}


def acts_of_all(session: Session, records: Sequence[Record]) -> dict[int, set[str]]:
    """Return the acts for which records have markers, by the record's id; records without any are left out."""
    rows = session.rows(
        "SELECT w.record_id, array_agg(m.act) FROM archiver.markers m"
        " JOIN unnest(%s::bigint[], %s::timestamptz[]) w (record_id, started_at)"
        " ON m.record_id = w.record_id AND m.started_at IN (w.started_at, 'epoch') GROUP BY 1",
        ([record.id for record in records], [record.started_at for record in records]),
        doing="looking for markers",
    )
    return {record_id: set(acts) for record_id, acts in rows}


def acts(session: Session | None, record: Marked) -> set[str]:
    """Return the acts for which a record has markers."""
    if session is None:
        return set()
    rows = session.rows(f"SELECT act {_OWN}", _own(record), doing="looking for markers")
    return {row[0] for row in rows}


def without(session: Session, records: Sequence[Marked], act: str) -> list[int]:
    """Return the ids of the records of which a shard has no marker of an act."""
    rows = session.rows(
        "SELECT w.record_id FROM unnest(%s::bigint[], %s::timestamptz[]) w (record_id, started_at) WHERE NOT EXISTS"
        " (SELECT 1 FROM archiver.markers m WHERE m.record_id = w.record_id AND m.started_at = w.started_at"
        " AND m.act = %s)",
        ([record.id for record in records], [record.started_at for record in records], act),
        doing="looking for markers",
    )
    return [row[0] for row in rows]


def relocate(databases: Databases, record: Marked, acts: Sequence[str]) -> None:
    """Write the record's location into markers of rows that went: another object, which is verified, holds them, too.

    A master that is lost is mended by these markers. Call it before master commits that its record names that object:
    a run that is cut off in between does both again.
    """
    for name in (MASTER, *databases.shards):
        databases.session(name).execute(
            "UPDATE archiver.markers SET content = jsonb_set(content, '{location}', to_jsonb(%s::text))"
            " WHERE record_id = %s AND started_at IN (%s, 'epoch') AND act = ANY(%s)",
            (record.location, *_own(record), list(acts)),
            doing="writing the location into markers",
        )


def delete(session: Session, record: Marked, act: str) -> None:
    """Delete a marker. Call it in the transaction that undoes the act."""
    session.execute(f"DELETE {_OWN} AND act = %s", (*_own(record), act), doing="deleting a marker")


# Markers that an older version of this tool wrote have no start time of their own.
_OWN = "FROM archiver.markers WHERE record_id = %s AND started_at IN (%s, 'epoch')"


def _own(record: Marked) -> tuple[int, datetime]:
    return record.id, record.started_at
