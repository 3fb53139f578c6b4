"""Open markers: deletions and moves that a shard committed, and that master does not know of, or only in part.

docs/architecture.md tells a marker's life. A master that was set back has lost the state of a record, or the record.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.records import ledger
from archiver.records.markers import DELETED
from archiver.records.settlement import finished_from
from archiver.records.state import Kind
from inventory.keys import Key, key_of_text

_Entry = tuple[int, Key, str, dict[str, Any]]  # of the log: record, tenant, act and details


class Contradiction(Enum):
    """The ways in which master contradicts what a shard committed, or a shard what master did."""

    UNDONE = "undone"  # its record is there, in a state from before the deletion
    UNKNOWN = "unknown"  # it has no record of it
    RESTORED = "restored"  # it was restored on this shard, which does not know of that
    MOVED = "moved"  # a tenant was moved to this shard, which does not know of that


@dataclass(frozen=True, kw_only=True)
class Marker:
    """A marker of a deletion or a move, without one that closes it in the same shard."""

    shard: str
    record_id: int
    started_at: datetime
    act: str
    at: datetime

    @property
    def tenant_id(self) -> Key | None:
        """The tenant of a month's slice; None for a deletion or a move of a tenant: its record names it."""
        return _slice_key(self.act) if self.act.startswith("slice ") else None


@dataclass(frozen=True, kw_only=True)
class OpenMarker:
    """A marker that master contradicts."""

    marker: Marker
    contradiction: Contradiction
    location: str = ""  # the archive, if the log, a move or the marker names it; markers of older versions do not


def open_markers(master: Session, shards: Mapping[str, Session]) -> list[OpenMarker]:
    """Return the open markers of these shards, by shard and record.

    A run that proceeds meanwhile may let a marker look open; it does not look so a second time. A master that was set
    back behind the first archive of all has no tables, and knows of no marker.
    """
    unclosed = [marker for name, session in shards.items() if ready(session) for marker in _unclosed(session, name)]
    has_tables = ready(master)
    if has_tables:
        ledger.refuse_unknown_kinds(master)
    undone, planned, unknown = _contradicted(master, unclosed) if has_tables else ([], [], unclosed)
    entries = _entries(master, unknown) if has_tables else []
    deleted = ((marker, _deletion(shards[marker.shard], marker)) for marker in unknown)
    judged = (_judged(marker, content, entries) for marker, content in deleted if content is not None)
    still_open = [
        *(OpenMarker(marker=marker, contradiction=Contradiction.UNDONE) for marker in undone),
        *planned,
        *filter(None, judged),
    ]
    return sorted(still_open, key=lambda each: (each.marker.shard, each.marker.record_id, each.marker.act))


def _unclosed(session: Session, shard: str) -> Iterator[Marker]:
    """Yield the markers of deletions that no restore has closed."""
    for record_id, started_at, act, at in session.rows(_UNCLOSED, doing="looking for open markers"):
        yield Marker(shard=shard, record_id=record_id, started_at=started_at, act=act, at=at)


def _contradicted(master: Session, markers: Sequence[Marker]) -> tuple[list[Marker], list[OpenMarker], list[Marker]]:
    """Return the markers whose record has not come so far, those of moves that are only planned, and the unknown."""
    if not markers:
        return [], [], []
    columns = ([getattr(marker, name) for marker in markers] for name in ("record_id", "started_at", "act"))
    rows = master.rows(_CONTRADICTED, (*columns, _EARLIER, _EARLIER), doing="looking for the records of markers")
    undone = [markers[position - 1] for position, state, location in rows if state is not None and location is None]
    planned = [
        OpenMarker(marker=markers[position - 1], contradiction=Contradiction.UNKNOWN, location=location)
        for position, _, location in rows
        if location is not None
    ]
    return undone, planned, [markers[position - 1] for position, state, _ in rows if state is None]


def _entries(master: Session, markers: Sequence[Marker]) -> list[_Entry]:
    """Return what the log says of these markers' records: id, tenant, act and details."""
    if not markers:
        return []
    ids = sorted({marker.record_id for marker in markers})
    rows = master.rows(_ENTRIES, (ids,), doing="reading the log")
    return [(number, key_of_text(key), act, details) for number, key, act, details in rows]


def _judged(marker: Marker, content: Mapping[str, Any], entries: Iterable[_Entry]) -> OpenMarker | None:
    """Return a marker without a record as open, unless the log says that its archive was restored or dropped."""
    closing_acts = _CLOSING.get(marker.act.split(" ")[0], ())
    for record_id, tenant_id, act, details in entries:
        same = record_id == marker.record_id and (marker.tenant_id is None or marker.tenant_id == tenant_id)
        if same and act in closing_acts and _same_start(marker, details):
            if act in ("restore", "restore activity") and details.get("shard") == marker.shard:
                return OpenMarker(marker=marker, contradiction=Contradiction.RESTORED, location=details["location"])
            return None
    location: str = content.get("location", "")
    return OpenMarker(marker=marker, contradiction=Contradiction.UNKNOWN, location=location)


def _same_start(marker: Marker, details: Mapping[str, Any]) -> bool:
    """True if a log entry is about the record of a marker; ids alone count for what older versions wrote."""
    if "started_at" not in details or marker.started_at.timestamp() == 0:
        return True
    return datetime.fromisoformat(details["started_at"]) == marker.started_at


def _deletion(session: Session, marker: Marker) -> dict[str, Any] | None:
    """Return the content of a marker; None if it is not there any more, or all rows of a month's slice stayed."""
    row = session.row(
        "SELECT content FROM archiver.markers WHERE (record_id, started_at, act) = (%s, %s, %s)",
        (marker.record_id, marker.started_at, marker.act),
        doing="reading a marker",
    )
    content: dict[str, Any] | None = row[0] if row else None
    if content is None or marker.tenant_id is None:
        return content
    return content if sum(content["went"].values()) > sum(map(len, content["stayed"].values())) else None


def _slice_key(act: str) -> Key:
    """Return the key of a tenant in the act of a month's marker: `slice 13 went`."""
    return key_of_text(act.removeprefix("slice ").removesuffix(" went"))


_EARLIER = [state.value for state in finished_from(Kind.TENANT)]  # and of a month the same
_CLOSING = {
    DELETED: ("restore", "drop"),
    "slice": ("restore activity", "drop activity"),
}  # acts of the log, by a marker's first word
_UNCLOSED = """
SELECT m.record_id, m.started_at, m.act, m.at FROM archiver.markers m
 WHERE (m.act IN ('deleted', 'moved in', 'moved out') OR m.act LIKE 'slice % went')
   AND NOT EXISTS (
       SELECT 1 FROM archiver.markers r WHERE r.record_id = m.record_id AND r.started_at = m.started_at
          AND r.act = CASE WHEN m.act = 'deleted' THEN 'restored'
                           WHEN m.act LIKE 'slice %' THEN regexp_replace(m.act, ' went$', ' restored') END)
 ORDER BY m.record_id, m.act
"""
# Markers that an older version of this tool wrote have no start time of their own.
_CONTRADICTED = """
SELECT w.position, coalesce(r.state, s.state, v.state), v.location
  FROM unnest(%s::bigint[], %s::timestamptz[], %s::text[]) WITH ORDINALITY w (record_id, started_at, act, position)
  LEFT JOIN archiver.archives r
    ON w.act = 'deleted' AND (r.kind, r.id) = ('tenant', w.record_id) AND w.started_at IN (r.started_at, 'epoch')
  LEFT JOIN (SELECT a.id, a.started_at, m.key, a.state FROM archiver.archives a
               JOIN archiver.members m ON (m.kind, m.archive_id) = (a.kind, a.id) WHERE a.kind = 'month') s
    ON w.act = 'slice ' || s.key || ' went' AND s.id = w.record_id AND w.started_at IN (s.started_at, 'epoch')
  LEFT JOIN archiver.archives v
    ON w.act IN ('moved in', 'moved out') AND (v.kind, v.id) = ('move', w.record_id) AND w.started_at = v.started_at
 WHERE coalesce(r.state, s.state, v.state) IS NULL OR r.state = ANY(%s) OR s.state = ANY(%s) OR v.state = 'planned'
 ORDER BY w.position
"""
_ENTRIES = """
SELECT record_id, key, act, details FROM archiver.log
 WHERE record_id = ANY(%s) AND act IN ('restore', 'drop', 'restore activity', 'drop activity') ORDER BY id DESC
"""
