"""The record of an archive of past months' activity: where it lies, and its state. In master."""

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
    """What master knows of one archive: of a month and a shard there are several, where it is large or took nights."""

    id: int
    month: str  # the last of the span: 2014-09
    year: int  # the school year of that month
    before: datetime  # the first moment that is not in the span
    shard: str  # inventory name of the database that the rows came from
    state: ArchiveState  # of a tenant's life all but the last: what comes back comes back slice by slice
    location: str  # s3://bucket/key
    fingerprint: str  # of the schema it came from
    recipients: tuple[str, ...]  # age public keys that its slices are encrypted to; none: they are not
    size: int | None  # bytes
    md5: str | None
    sha256: str | None
    seconds_to_restore: float | None  # all of it, into the scratch database
    operator: str
    host: str
    started_at: datetime
    verified_at: datetime | None
    archived_at: datetime | None
    proved_at: datetime | None  # when the stored object was last fetched, restored and compared


def start(session: Session, span: Span, shard: str, location: str, fingerprint: str, keys: Sequence[str]) -> Month:
    """Writes that an archive is about to be stored."""
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
    """Writes that the stored object was restored and compared."""
    return advance(
        session, month, ArchiveState.VERIFIED, seconds_to_restore=seconds, verified_at="now", proved_at="now"
    )


def deleting(session: Session, month: Month) -> Month:
    """Writes that the deletion begins."""
    return advance(session, month, ArchiveState.DELETING)


def archived(session: Session, month: Month) -> None:
    """Writes that the deletion is over: slices of which nothing went are forgotten, and the record with the last."""
    with session.transaction(doing="writing the month's record"):
        session.execute(
            "DELETE FROM archiver.month_slices WHERE month_id = %s AND went IS NULL",
            (month.id,),
            doing="writing the month's record",
        )
        advance(session, month, ArchiveState.ARCHIVED, archived_at="now")
        forget_empty(session, month)


def reverified(session: Session, month: Month) -> None:
    """Writes that an archive was proved again."""
    advance(session, month, month.state, proved_at="now")


def reencrypted(session: Session, month: Month) -> Month:
    """Writes that the object, its slices encrypted to other keys, lies where this record says, with its digests."""
    columns = {name: getattr(month, name) for name in ("location", "size", "md5", "sha256")}
    return advance(session, month, month.state, **columns, recipients=list(month.recipients))


def forget_empty(session: Session, month: Month) -> None:
    """Takes the record of an archive away of which no slice is left."""
    session.execute(
        "DELETE FROM archiver.months m WHERE id = %s"
        " AND NOT EXISTS (SELECT 1 FROM archiver.month_slices WHERE month_id = m.id)",
        (month.id,),
        doing="deleting the month's record",
    )


def interrupted(session: Session, shard: str) -> tuple[Month, ...]:
    """What a run that was cut off left of a shard's months."""
    return read(session, "shard = %s AND state <> %s", (shard, ArchiveState.ARCHIVED.value))


def of_shard(session: Session, shard: str) -> tuple[Month, ...]:
    """The archives that came from a shard; none where nothing was ever archived."""
    return read(session, "shard = %s", (shard,)) if own_schema.ready(session) else ()


def every(session: Session) -> tuple[Month, ...]:
    """All archives; none where nothing was ever archived."""
    return read(session, "true", ()) if own_schema.ready(session) else ()


def advance(session: Session, month: Month, state: ArchiveState, **columns: object) -> Month:
    """Writes the next state, and what is known by then."""
    wanted = {"state": state.value, **columns}
    settings: Composable = SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in wanted)
    session.execute(
        SQL("UPDATE archiver.months SET {} WHERE id = %s").format(settings),
        (*wanted.values(), month.id),
        doing=f"writing the month's state {state.value}",
    )
    return read(session, "id = %s", (month.id,))[0]


def read(session: Session, condition: str, args: Sequence[object]) -> tuple[Month, ...]:
    """The records that a condition finds, the oldest first."""
    rows = own_schema.read(session, "months", Month, f"WHERE {condition} ORDER BY id", args)
    return tuple(_month(row) for row in rows)


def _month(row: dict[str, Any]) -> Month:
    return Month(**{**row, "state": ArchiveState(row["state"]), "recipients": tuple(row["recipients"])})
