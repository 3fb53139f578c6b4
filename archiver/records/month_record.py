"""The record of an archive of past months' activity, in master: its state, location and digests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from archiver.postgres import own_schema
from archiver.postgres.operator import host, operator
from archiver.postgres.session import SQL, Composable, Identifier, Session
from archiver.records.archive_record import ArchiveState
from archiver.records.cutoff import Span


@dataclass(frozen=True, kw_only=True)
class Month:
    """The record of one monthly archive. A month of a shard has several if it is large or took several nights."""

    id: int
    month: str  # the last month of the span: 2014-09
    year: int  # the school year of that month
    before: datetime  # the first moment after the span
    shard: str  # inventory name of the database with the rows
    state: ArchiveState  # never RESTORING: slices are restored one by one
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
    row = session.row(
        "INSERT INTO archiver.months (month, year, before, shard, state, location, fingerprint, recipients, operator,"
        " host) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (
            *(str(span.month), span.year, span.before, shard, ArchiveState.EXTRACTING.value, location, fingerprint),
            *(list(keys), operator(), host()),
        ),
        doing="writing the month's record",
    )
    return read(session, "id = %s", (row[0],))[0]


def verified(session: Session, month: Month, seconds: float) -> Month:
    """Write that the stored object was restored and compared."""
    return advance(
        session, month, ArchiveState.VERIFIED, seconds_to_restore=seconds, verified_at="now", proved_at="now"
    )


def deleting(session: Session, month: Month) -> Month:
    """Write that the deletion begins."""
    return advance(session, month, ArchiveState.DELETING)


def deletion_had_begun(session: Session, month_id: int) -> None:
    """Write `deleting` again, where a master that was set back has an earlier state of a deletion that took place."""
    session.execute(
        "UPDATE archiver.months SET state = %s WHERE id = %s AND state <> %s",
        (ArchiveState.DELETING.value, month_id, ArchiveState.ARCHIVED.value),
        doing=f"writing the month's state {ArchiveState.DELETING.value}",
    )


def archived(session: Session, month: Month) -> None:
    """Write that the deletion has ended. Remove slices without deleted rows, and the record if no slice is left."""
    with session.transaction(doing="writing the month's record"):
        session.execute(
            "DELETE FROM archiver.month_slices WHERE month_id = %s AND went IS NULL",
            (month.id,),
            doing="writing the month's record",
        )
        advance(session, month, ArchiveState.ARCHIVED, archived_at="now")
        forget_empty(session, month)


def reverified(session: Session, month: Month) -> None:
    """Write the time of a new verification."""
    advance(session, month, month.state, proved_at="now")


def reencrypted(session: Session, month: Month) -> Month:
    """Write the location, size, digests and recipients that this record has: its slices were reencrypted."""
    columns = {name: getattr(month, name) for name in ("location", "size", "md5", "sha256", "etag", "version_id")}
    return advance(session, month, month.state, **columns, recipients=list(month.recipients))


def forget_empty(session: Session, month: Month) -> None:
    """Delete the record of an archive if no slice of it is left."""
    session.execute(
        "DELETE FROM archiver.months m WHERE id = %s"
        " AND NOT EXISTS (SELECT 1 FROM archiver.month_slices WHERE month_id = m.id)",
        (month.id,),
        doing="deleting the month's record",
    )


def interrupted(session: Session, shard: str) -> tuple[Month, ...]:
    """Return the records of a shard's archives that an interrupted run left unarchived."""
    return read(session, "shard = %s AND state <> %s", (shard, ArchiveState.ARCHIVED.value))


def of_shard(session: Session, shard: str) -> tuple[Month, ...]:
    """Return the archives of a shard; empty if nothing was ever archived."""
    return read(session, "shard = %s", (shard,)) if own_schema.ready(session) else ()


def every(session: Session) -> tuple[Month, ...]:
    """Return all monthly archives; empty if nothing was ever archived."""
    return read(session, "true", ()) if own_schema.ready(session) else ()


def advance(session: Session, month: Month, state: ArchiveState, **columns: object) -> Month:
    """Write the next state and the given columns. Return the record as it is now."""
    values = {"state": state.value, **columns}
    settings: Composable = SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in values)
    session.execute(
        SQL("UPDATE archiver.months SET {} WHERE id = %s").format(settings),
        (*values.values(), month.id),
        doing=f"writing the month's state {state.value}",
    )
    return read(session, "id = %s", (month.id,))[0]


def read(session: Session, condition: str, args: Sequence[object]) -> tuple[Month, ...]:
    """Return the records that meet a condition, the oldest first."""
    rows = own_schema.read(session, "months", Month, f"WHERE {condition} ORDER BY id", args)
    return tuple(_month(row) for row in rows)


def _month(row: dict[str, Any]) -> Month:
    return Month(**{**row, "state": ArchiveState(row["state"]), "recipients": tuple(row["recipients"])})
