"""The record of an archive of past months' activity, in master: its state, location and digests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from archiver.postgres import own_schema
from archiver.postgres.session import Session
from archiver.records import ledger
from archiver.records.cutoff import Span
from archiver.records.ledger import NOW
from archiver.records.state import Kind, State
from inventory.keys import key_text


@dataclass(frozen=True, kw_only=True)
class Month:
    """The record of one monthly archive. A month of a shard has several if it is large or took several nights."""

    id: int
    month: str  # the last month of the span: 2014-09
    year: int  # the school year of that month
    before: datetime  # the first moment after the span
    shard: str  # inventory name of the database with the rows
    state: State  # never RESTORING: slices are restored one by one
    location: str  # s3://bucket/key
    fingerprint: str  # of the schema of the archived rows
    recipients: tuple[str, ...]  # age public keys of its slices; empty: they are not encrypted
    size: int | None  # bytes
    md5: str | None
    sha256: str | None
    etag: str | None  # of the object as it was put; None: put by an older version of this tool
    version_id: str | None  # None: also if the bucket has no versions
    seconds_to_restore: float | None  # of all slices, into the scratch database
    operator: str
    host: str
    started_at: datetime
    turn: int  # its place among all archives, months, moves and merges: no clock says which is later
    verified_at: datetime | None
    archived_at: datetime | None
    proved_at: datetime | None  # when the stored object was last fetched, restored and compared


def start(session: Session, span: Span, shard: str, location: str, fingerprint: str, keys: Sequence[str]) -> Month:
    """Write the record of an archive before it is stored."""
    row = {"key": key_text(str(span.month)), "year": span.year, "before": span.before, "shard": shard}
    stored = {"location": location, "fingerprint": fingerprint, "recipients": list(keys)}
    ids = ledger.insert(session, Kind.MONTH, State.EXTRACTING, [{**row, **stored}])
    return of_ids(session, ids)[0]


def verified(session: Session, month: Month, seconds: float) -> Month:
    """Write that the stored object was restored and compared."""
    return advance(session, month, State.VERIFIED, seconds_to_restore=seconds, verified_at=NOW, proved_at=NOW)


def deleting(session: Session, month: Month) -> Month:
    """Write that the deletion begins."""
    return advance(session, month, State.DELETING)


def deletion_had_begun(session: Session, month_id: int) -> None:
    """Write `deleting` again, where a master that was set back has an earlier state of a deletion that took place."""
    before = [state for state in State if state is not State.ARCHIVED]
    ledger.advance(session, Kind.MONTH, State.DELETING, ledger.ids([month_id]), before)


def archived(session: Session, month: Month) -> None:
    """Write that the deletion has ended. Remove slices without deleted rows, and the record if no slice is left."""
    with session.transaction(doing="writing the month's record"):
        session.execute(
            "DELETE FROM archiver.members WHERE kind = %s AND archive_id = %s AND went IS NULL",
            (Kind.MONTH.value, month.id),
            doing="writing the month's record",
        )
        advance(session, month, State.ARCHIVED, archived_at=NOW)
        forget_empty(session, month)


def forget_empty(session: Session, month: Month) -> None:
    """Delete the record of an archive if no slice of it is left."""
    empty = "NOT EXISTS (SELECT 1 FROM archiver.members m WHERE (m.kind, m.archive_id) = (a.kind, a.id))"
    ledger.delete(session, Kind.MONTH, f"id = %s AND {empty}", (month.id,), doing="deleting the month's record")


def interrupted(session: Session, shard: str) -> tuple[Month, ...]:
    """Return the records of a shard's archives that an interrupted run left unarchived."""
    return _read(session, "shard = %s AND state <> %s", (shard, State.ARCHIVED.value))


def of_shard(session: Session, shard: str) -> tuple[Month, ...]:
    """Return the archives of a shard; empty if nothing was ever archived."""
    return _read(session, "shard = %s", (shard,)) if own_schema.ready(session) else ()


def every(session: Session) -> tuple[Month, ...]:
    """Return all monthly archives; empty if nothing was ever archived."""
    return _read(session, "true", ()) if own_schema.ready(session) else ()


def of_ids(session: Session, ids: Sequence[int]) -> tuple[Month, ...]:
    """Return the records of these ids, the oldest first; ids without a record are left out."""
    return _read(session, "id = ANY(%s)", (list(ids),))


def advance(session: Session, month: Month, state: State, **columns: object) -> Month:
    """Write the next state and the given columns. Return the record as it is now."""
    ledger.advance(session, Kind.MONTH, state, ledger.ids([month.id], **columns))
    return of_ids(session, [month.id])[0]


def _read(session: Session, condition: str, args: Sequence[object]) -> tuple[Month, ...]:
    """Return the records that meet a condition, the oldest first."""
    return tuple(_month(row) for row in ledger.read(session, Kind.MONTH, _COLUMNS, condition, args))


def _month(row: dict[str, Any]) -> Month:
    return Month(**{**row, "recipients": tuple(row["recipients"])})


_COLUMNS = ledger.columns_of(Month, month="key")
