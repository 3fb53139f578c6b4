"""Markers about archives that master does not record: whose rows went, on which shard, by which record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.records.markers import DELETED
from inventory.keys import Key, key_of_text


@dataclass(frozen=True, kw_only=True)
class ArchiveClaim:
    """A marker that names an archive: a `Marked` record, as far as the shard knows it."""

    shard: str
    location: str
    id: int  # of the record that master lost
    started_at: datetime
    act: str  # deleted, moved in, moved out
    at: datetime
    restored: bool  # on the same shard, since
    turn: int | None  # of the archive or the move; None: an older version wrote the marker

    @property
    def open(self) -> bool:
        """True if the archive holds a tenant's rows that this shard deleted, and that did not come back to it."""
        return self.act == DELETED and not self.restored


def claims_of(shards: Mapping[str, Session], locations: Sequence[str]) -> dict[str, list[ArchiveClaim]]:
    """Return what markers of all shards say of these archives, by location; none that older versions wrote."""
    by_location: dict[str, list[ArchiveClaim]] = {}
    for shard, session in shards.items():
        rows = session.rows(_CLAIMS, (list(locations),), doing="looking for markers") if ready(session) else []
        for location, number, started_at, act, at, restored, turn in rows:
            claim = ArchiveClaim(
                shard=shard,
                location=location,
                id=number,
                started_at=started_at,
                act=act,
                at=at,
                restored=restored,
                turn=turn,
            )
            by_location.setdefault(location, []).append(claim)
    return by_location


@dataclass(frozen=True, kw_only=True)
class SliceClaim:
    """A marker of a slice whose rows a shard deleted, and that did not come back to it."""

    id: int  # of the month's record that master lost
    started_at: datetime
    key: Key
    location: str  # of the object that holds its rows
    deleted: Mapping[str, int]  # rows by member, before those that stayed are taken off
    stayed: Mapping[str, Sequence[str]]
    at: datetime
    turn: int | None  # of the month; None: an older version wrote the marker

    @property
    def deleted_rows(self) -> int:
        """The number of its rows that are only in the archive."""
        return sum(self.deleted.values()) - sum(map(len, self.stayed.values()))


def slice_claims(session: Session, location: str) -> list[SliceClaim]:
    """Return what a shard's markers say of the slices of a month's object; none that older versions wrote.

    Slices of the same record whose markers name another object are among them: a drop may have written that anew.
    """
    rows = session.rows(_SLICES, (location,), doing="looking for markers") if ready(session) else []
    return [
        SliceClaim(
            id=number,
            started_at=started_at,
            key=key_of_text(key),
            location=of_slice,
            deleted=deleted,
            stayed=stayed,
            at=at,
            turn=turn,
        )
        for number, started_at, key, of_slice, deleted, stayed, at, turn in rows
    ]


def last_id_and_turn(shards: Sequence[Session]) -> tuple[int, int]:
    """Return the highest id of a record and the highest turn that any marker knows; 0 without markers."""
    query = "SELECT coalesce(max(record_id), 0), coalesce(max((content ->> 'turn')::bigint), 0) FROM archiver.markers"
    last = [session.row(query, doing="looking for markers") for session in shards if ready(session)]
    return max((number for number, _ in last), default=0), max((turn for _, turn in last), default=0)


def content(session: Session, claim: ArchiveClaim) -> dict[str, Any]:
    """Return what a claim's marker says."""
    query = "SELECT content FROM archiver.markers WHERE (record_id, started_at, act) = (%s, %s, %s)"
    of_marker: dict[str, Any] = session.row(query, (claim.id, claim.started_at, claim.act), doing="reading a marker")[0]
    return of_marker


_SLICES = """
SELECT m.record_id, m.started_at, substr(m.act, 7, length(m.act) - 11), m.content ->> 'location',
       m.content -> 'went', m.content -> 'stayed', m.at, (m.content ->> 'turn')::bigint
  FROM archiver.markers m
 WHERE m.act ~ '^slice .* went$' AND m.content ? 'location'
   AND (m.record_id, m.started_at) IN (SELECT l.record_id, l.started_at FROM archiver.markers l
                                        WHERE l.act ~ '^slice .* went$' AND l.content ->> 'location' = %s)
   AND NOT EXISTS (SELECT 1 FROM archiver.markers r WHERE (r.record_id, r.started_at) = (m.record_id, m.started_at)
                      AND r.act = regexp_replace(m.act, ' went$', ' restored'))
 ORDER BY m.at
"""
_CLAIMS = """
SELECT m.content ->> 'location', m.record_id, m.started_at, m.act, m.at,
       EXISTS (SELECT 1 FROM archiver.markers r
                WHERE (r.record_id, r.started_at, r.act) = (m.record_id, m.started_at, 'restored')),
       (m.content ->> 'turn')::bigint
  FROM archiver.markers m
 WHERE m.act IN ('deleted', 'moved in', 'moved out') AND m.content ->> 'location' = ANY(%s)
 ORDER BY m.at
"""
