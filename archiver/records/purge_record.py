"""The record of a purge of legacy users, in master: their ids, archive and state. It is never deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from archiver.catalog.model import MASTER
from archiver.format.manifest import Manifest, Member
from archiver.postgres.operator import host, operator
from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.records import ledger
from archiver.records.ledger import NOW, members_of, plain
from archiver.records.state import Kind, State
from archiver.store.bucket import StoredDigests
from inventory.catalog import Catalog
from inventory.keys import Key, key_text


@dataclass(frozen=True, kw_only=True)
class Purge:
    """The record of one purge."""

    id: int
    year: int
    before: datetime
    ids: tuple[int, ...]  # of the users purged
    state: State
    location: str  # s3://bucket/key
    size: int | None  # bytes of the tarball
    md5: str | None
    sha256: str | None
    etag: str | None  # of the object as it was put; None: put by an older version of this tool
    version_id: str | None  # None: also if the bucket has no versions
    recipients: tuple[str, ...]
    members: Mapping[str, Member]
    operator: str
    host: str
    started_at: datetime
    verified_at: datetime | None
    archived_at: datetime | None  # when the live rows were deleted
    restored_at: datetime | None
    restored_by: str | None
    proved_at: datetime | None  # when the stored tarball was last fetched, restored and compared

    @property
    def tenant_id(self) -> int:
        """0: its users belong to no tenant."""
        return 0

    @property
    def tarball(self) -> str:
        """The file name of the tarball: `2013_purge_7.tar.gz`."""
        return self.location.rsplit("/", 1)[-1]

    @property
    def rows(self) -> int:
        """The number of rows in the archive."""
        return sum(member.rows for member in self.members.values())


def start(session: Session, year: int, before: datetime, ids: Sequence[int], recipients: Sequence[str]) -> Purge:
    """Write the record of a new purge."""
    number = ledger.new_purge(session)
    row = {"id": number, "key": key_text(number), "year": year, "before": before, "ids": list(ids), "shard": MASTER}
    ledger.insert(session, Kind.PURGE, State.EXTRACTING, [{**row, "recipients": list(recipients)}])
    return by_id(session, number)


def by_id(session: Session, number: int) -> Purge:
    """Return the record of that purge, which must exist."""
    return _read(session, "id = %s", (number,))[0]


def stored(session: Session, purge: Purge, location: str, manifest: Manifest, digests: StoredDigests) -> Purge:
    """Write the location of the tarball, and what is in it."""
    members = plain(manifest.members)
    return _advance(session, purge, State.STORED, location=location, members=members, **vars(digests))


def verified(session: Session, purge: Purge) -> Purge:
    """Write that the stored tarball was restored and compared."""
    return _advance(session, purge, State.VERIFIED, verified_at=NOW, proved_at=NOW)


def purged(session: Session, purge: Purge) -> Purge:
    """Write that the rows are deleted. Call it in the transaction that deletes them."""
    return _advance(session, purge, State.ARCHIVED, archived_at=NOW)


def restored(session: Session, purge: Purge) -> Purge:
    """Write that the rows are live again. Call it in the transaction that loads them."""
    return _advance(session, purge, State.RESTORED, restored_at=NOW, restored_by=f"{operator()}@{host()}")


def every(session: Session) -> tuple[Purge, ...]:
    """Return all purges, the oldest first; empty if nothing was ever archived."""
    return _read(session, "true", ()) if ready(session) else ()


def holding(session: Session, catalog: Catalog, table: str, user_id: Key) -> tuple[Purge, ...]:
    """Return the purges whose archive holds a purged user; empty for the id of another table than the users'."""
    if catalog.legacy is None or table != catalog.legacy.table:
        return ()
    return tuple(purge for purge in every(session) if purge.state is State.ARCHIVED and user_id in purge.ids)


def _advance(session: Session, purge: Purge, state: State, **columns: object) -> Purge:
    ledger.advance(session, Kind.PURGE, state, ledger.ids([purge.id], **columns))
    return by_id(session, purge.id)


def _read(session: Session, condition: str, args: Sequence[object]) -> tuple[Purge, ...]:
    return tuple(map(_purge, ledger.read(session, Kind.PURGE, _COLUMNS, condition, args)))


def _purge(row: dict[str, Any]) -> Purge:
    lists = {name: tuple(row[name]) for name in ("ids", "recipients")}
    return Purge(**{**row, **lists, "members": members_of(row["members"])})


_COLUMNS = ledger.columns_of(Purge)
