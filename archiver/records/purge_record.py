"""The record of a purge of legacy users, in master: their ids, archive and state. It is never deleted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from enum import Enum
from typing import Any

from archiver.format.manifest import Manifest, Member
from archiver.postgres.operator import host, operator
from archiver.postgres.own_schema import ready
from archiver.postgres.session import SQL, Identifier, Session
from archiver.store.bucket import StoredDigests
from inventory.catalog import Catalog


class PurgeState(Enum):
    """The states of a purge. The last two are written in the transaction that deletes or loads the rows."""

    EXTRACTING = "extracting"  # rows are being read; nothing is stored
    STORED = "stored"  # the tarball is in the store; nothing is deleted
    VERIFIED = "verified"  # it was fetched, restored and compared; nothing is deleted
    PURGED = "purged"  # the live rows are deleted
    RESTORED = "restored"  # the rows are live again


@dataclass(frozen=True, kw_only=True)
class Purge:
    """The record of one purge."""

    id: int
    year: int
    before: datetime
    ids: tuple[int, ...]  # of the users purged
    state: PurgeState
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
    purged_at: datetime | None
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
    row = session.row(
        "INSERT INTO archiver.purges (year, before, ids, state, recipients, operator, host)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (year, before, list(ids), PurgeState.EXTRACTING.value, list(recipients), operator(), host()),
        doing="writing the record of a purge",
    )
    [purge] = _read(session, "id = %s", (row[0],))
    return purge


def stored(session: Session, purge: Purge, location: str, manifest: Manifest, digests: StoredDigests) -> Purge:
    """Write the location of the tarball, and what is in it."""
    members = json.dumps({name: vars(member) for name, member in manifest.members.items()})
    return _advance(session, purge, PurgeState.STORED, location=location, members=members, **vars(digests))


def verified(session: Session, purge: Purge) -> Purge:
    """Write that the stored tarball was restored and compared."""
    return _advance(session, purge, PurgeState.VERIFIED, verified_at="now", proved_at="now")


def purged(session: Session, purge: Purge) -> Purge:
    """Write that the rows are deleted. Call it in the transaction that deletes them."""
    return _advance(session, purge, PurgeState.PURGED, purged_at="now")


def restored(session: Session, purge: Purge) -> Purge:
    """Write that the rows are live again. Call it in the transaction that loads them."""
    return _advance(session, purge, PurgeState.RESTORED, restored_at="now", restored_by=f"{operator()}@{host()}")


def reverified(session: Session, purge: Purge) -> None:
    """Write the time of a new verification."""
    _advance(session, purge, purge.state, proved_at="now")


def reencrypted(session: Session, purge: Purge) -> Purge:
    """Write the location, size, digests and recipients that this record has: its tarball was reencrypted."""
    columns = {name: getattr(purge, name) for name in ("location", "size", "md5", "sha256", "etag", "version_id")}
    return _advance(session, purge, purge.state, **columns, recipients=list(purge.recipients))


def every(session: Session) -> tuple[Purge, ...]:
    """Return all purges, the oldest first; empty if nothing was ever archived."""
    return _read(session, "true", ()) if ready(session) else ()


def holding(session: Session, catalog: Catalog, table: str, user_id: int) -> tuple[Purge, ...]:
    """Return the purges whose archive holds a purged user; empty for the id of another table than the users'."""
    if catalog.legacy is None or table != catalog.legacy.table:
        return ()
    return tuple(purge for purge in every(session) if purge.state is PurgeState.PURGED and user_id in purge.ids)


def _advance(session: Session, purge: Purge, state: PurgeState, **columns: object) -> Purge:
    values = {"state": state.value, **columns}
    settings = SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in values)
    query = SQL("UPDATE archiver.purges SET {} WHERE id = %s").format(settings)
    session.execute(query, (*values.values(), purge.id), doing=f"writing that a purge is {state.value}")
    [purge] = _read(session, "id = %s", (purge.id,))
    return purge


def _read(session: Session, condition: str, args: Sequence[object]) -> tuple[Purge, ...]:
    names = [field.name for field in fields(Purge)]
    query = f"SELECT {', '.join(names)} FROM archiver.purges WHERE {condition} ORDER BY id"  # noqa: S608 - this file's own words
    rows = session.rows(query, args, doing="reading the purges")
    return tuple(_purge(dict(zip(names, row, strict=True))) for row in rows)


def _purge(row: dict[str, Any]) -> Purge:
    members = {name: Member(**member) for name, member in row["members"].items()}
    lists = {name: tuple(row[name]) for name in ("ids", "recipients")}
    return Purge(**{**row, **lists, "state": PurgeState(row["state"]), "members": members})
