"""An archive as the ledger records it, whatever its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from archiver.format.manifest import Member
from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.records import ledger
from archiver.records.ledger import NOW, Placed, members_of
from archiver.records.state import Kind, State
from errors import RefusedError
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class ArchiveRecord:
    """One object in the store, or planned: what all kinds have."""

    kind: Kind
    id: int  # unique only within its kind
    key: Key  # of a tenant and a move the tenant's, of a month its name, of a purge its id
    year: int
    shard: str  # the database with the rows; of a move the source
    state: State
    location: str  # s3://bucket/key
    fingerprint: str  # of the schema of the archived rows
    recipients: tuple[str, ...]  # age public keys; empty: it is not encrypted
    size: int | None  # bytes
    md5: str | None
    sha256: str | None
    etag: str | None
    version_id: str | None
    members: Mapping[str, Member]  # empty for a month: its slices are in archiver.members
    operator: str
    host: str
    started_at: datetime
    turn: int | None  # its place among all archives, months, moves and merges
    verified_at: datetime | None
    archived_at: datetime | None
    proved_at: datetime | None

    @property
    def tenant_id(self) -> Key:
        """The tenant that owns the rows; 0: a month has rows of many, a purge's users belong to none."""
        return self.key if self.kind in (Kind.TENANT, Kind.MOVE) else 0

    @property
    def rows(self) -> int:
        """The rows in its members; of a month 0: its slices have them."""
        return sum(member.rows for member in self.members.values())

    @property
    def needed(self) -> bool:
        """True unless no row is in its object alone, nor ever will be: a move that was completed."""
        return self.state is not State.MOVED


def every(session: Session, condition: str = "true", args: Sequence[object] = ()) -> tuple[ArchiveRecord, ...]:
    """Return the archives of every kind that meet a condition, by kind and id; empty if nothing was ever archived.

    Raise RefusedError for a kind, state or key that this version does not know.
    """
    if not ready(session):
        return ()
    ledger.refuse_unknown_kinds(session)
    return tuple(archive for kind in Kind for archive in of_kind(session, kind, condition, args))


def of_kind(session: Session, kind: Kind, condition: str = "true", args: Sequence[object] = ()) -> list[ArchiveRecord]:
    """Return the archives of a kind that meet a condition, by id. Raise RefusedError as `every` does."""
    rows = ledger.read(session, kind, _COLUMNS, condition, args)
    lists = [{**row, "recipients": tuple(row["recipients"]), "members": members_of(row["members"])} for row in rows]
    return [ArchiveRecord(**{**row, "kind": kind}) for row in lists]


def reverified(session: Session, record: ArchiveRecord) -> None:
    """Write the time of a new verification; raise RefusedError if the record was deleted meanwhile."""
    if not ledger.update(session, record.kind, ledger.ids([record.id], proved_at=NOW)):
        raise RefusedError(
            f"The record of {record.location} no longer exists: the archive was restored or dropped meanwhile."
        )


def rewritten(session: Session, kind: Kind, record: Placed) -> None:
    """Write the location, size, digests and recipients that this record has: its object was written anew."""
    ledger.update(session, kind, [{"id": record.id, **ledger.stored_object(record)}])


_COLUMNS = ledger.columns_of(ArchiveRecord)
