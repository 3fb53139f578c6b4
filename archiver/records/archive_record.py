"""The record of a tenant's archive of a year, in master: its state, location, digests and members."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from enum import Enum
from typing import Any

from archiver.catalog.model import Part
from archiver.format import layout
from archiver.format.manifest import Manifest, Member
from archiver.postgres.operator import host, operator
from archiver.postgres.own_schema import read, ready
from archiver.postgres.session import SQL, Identifier, Session
from archiver.postgres.tenants import Tenant
from archiver.records.archive_request import ArchiveRequest
from archiver.store.bucket import StoredDigests
from errors import RefusedError
from inventory.keys import Key


class ArchiveState(Enum):
    """The states of a tenant's archive. Each is written before the act it names."""

    EXTRACTING = "extracting"  # rows are being read; nothing is stored
    STORED = "stored"  # the tarball is in the store
    VERIFIED = "verified"  # the tarball was fetched, restored and compared
    DELETING = "deleting"  # the live rows are being deleted
    ARCHIVED = "archived"  # the live rows are deleted
    RESTORING = "restoring"  # rows are being loaded; at the end the record is deleted


@dataclass(frozen=True, kw_only=True)
class Record:
    """The record of one tenant's archive of one year."""

    id: int
    tenant_id: Key
    tenant_name: str
    customer_id: int | None
    customer_name: str | None
    year: int
    night: date | None  # of the run over many tenants that archived it; None: archived alone
    shard: str
    depth: str
    state: ArchiveState
    location: str  # s3://bucket/key
    fingerprint: str  # of the schema of the archived rows
    size: int | None  # bytes of the tarball
    md5: str | None
    sha256: str | None
    etag: str | None  # of the object as it was put; None: put by an older version of this tool
    version_id: str | None  # None: also if the bucket has no versions
    recipients: tuple[str, ...]  # age public keys of the tarball; empty: it is not encrypted
    members: Mapping[str, Member]  # rows, bytes and SHA-256, by member name
    snapshots: Mapping[str, str]  # by database: the snapshot that a run over many tenants read; else empty
    kept: Mapping[str, int]  # number of rows left live by table, because they are shared or by the depth
    partial: tuple[Part, ...]  # parts that are live again; the other rows are only in the archive
    seconds_to_extract: float | None
    seconds_to_restore: float | None  # into the scratch database
    seconds_to_delete: float | None  # with the check of the rows; None if an interrupted run began it
    operator: str
    host: str
    started_at: datetime
    turn: int  # its place among all archives, months, moves and merges: no clock says which is later
    verified_at: datetime | None
    archived_at: datetime | None
    proved_at: datetime | None  # when the stored tarball was last fetched, restored and compared
    reason: str | None  # why it was archived, with the ticket; None: unknown

    @property
    def log_details(self) -> dict[str, str]:
        """The reason, as the log keeps it; empty without one."""
        return {"reason": self.reason} if self.reason else {}

    @property
    def tarball(self) -> str:
        """The file name of the tarball: `2013_school_13.tar.gz`."""
        return layout.file_name(self.location)

    @property
    def rows(self) -> int:
        """The number of rows in the archive."""
        return sum(member.rows for member in self.members.values())

    def to_json(self) -> dict[str, Any]:
        """Return plain data, with enums by value and times in ISO format."""
        partial = [part.to_json() for part in self.partial]
        plain = {**asdict(self), "state": self.state.value, "partial": partial}
        return {key: value.isoformat() if isinstance(value, date) else value for key, value in plain.items()}


def start(
    session: Session, tenant: Tenant, request: ArchiveRequest, location: str, recipients: Sequence[str]
) -> Record:
    """Write the record of a new extraction. It replaces one that deleted nothing, which the caller has checked."""
    with session.transaction(doing="writing the record"):
        session.execute(
            "DELETE FROM archiver.records WHERE tenant_id = %s AND year = %s AND state IN %s",
            (tenant.id, request.year, UNDONE),
        )
        row = session.row(
            "INSERT INTO archiver.records (tenant_id, tenant_name, customer_id, customer_name, year, night, shard,"
            " depth, state, location, recipients, operator, host, reason)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " RETURNING id",
            (
                *(tenant.id, tenant.name, tenant.customer_id, tenant.customer_name, request.year, request.night),
                *(tenant.shard, request.depth_of(tenant.id, tenant.customer_id)),
                *(ArchiveState.EXTRACTING.value, location, list(recipients)),
                *(operator(), host(), request.reason(tenant)),
            ),
        )
    return by_id(session, row[0])


UNDONE = (
    ArchiveState.EXTRACTING.value,
    ArchiveState.STORED.value,
    ArchiveState.VERIFIED.value,
    ArchiveState.DELETING.value,
)


def stored(session: Session, record: Record, manifest: Manifest, digests: StoredDigests, seconds: float) -> Record:
    """Write that the tarball is in the store."""
    return _advance(
        session,
        record,
        ArchiveState.STORED,
        **vars(digests),
        fingerprint=manifest.fingerprint,
        members=json.dumps({name: vars(member) for name, member in manifest.members.items()}),
        seconds_to_extract=seconds,
    )


def verified(session: Session, record: Record, seconds: float) -> Record:
    """Write that the stored tarball was restored and compared."""
    return _advance(
        session, record, ArchiveState.VERIFIED, seconds_to_restore=seconds, verified_at="now", proved_at="now"
    )


def reverified(session: Session, record: Record) -> None:
    """Write the time of a new verification; raise RefusedError if the record was deleted meanwhile."""
    query = "UPDATE archiver.records SET proved_at = now() WHERE id = %s"
    if not session.execute(query, (record.id,), doing="writing the date of the verification"):
        raise RefusedError(
            f"The record of {record.tarball} no longer exists: the archive was restored or dropped meanwhile."
        )


def deleting(session: Session, record: Record) -> Record:
    """Write that the deletion begins."""
    return _advance(session, record, ArchiveState.DELETING)


def deletion_had_begun(session: Session, record: Record) -> None:
    """Write `deleting` again, where a master that was set back has an earlier state of a deletion that took place."""
    session.execute(
        "UPDATE archiver.records SET state = %s WHERE id = %s AND state = ANY(%s)",
        (ArchiveState.DELETING.value, record.id, list(UNDONE)),
        doing=f"writing the record's state {ArchiveState.DELETING.value}",
    )


def restoring(session: Session, record: Record) -> Record:
    """Write that the restore begins."""
    return _advance(session, record, ArchiveState.RESTORING)


def step_back(session: Session, record: Record, state: ArchiveState) -> None:
    """Write that the act of the record's state did not happen; do nothing if the state has changed since."""
    session.execute(
        "UPDATE archiver.records SET state = %s WHERE id = %s AND state = %s",
        (state.value, record.id, record.state.value),
        doing=f"writing the record's state {state.value}",
    )


def archived(session: Session, record: Record, retained: Mapping[str, int], seconds: float | None) -> Record:
    """Write that the live rows are deleted. Call it in the transaction that deletes them."""
    return _advance(
        session, record, ArchiveState.ARCHIVED, kept=json.dumps(retained), seconds_to_delete=seconds, archived_at="now"
    )


def part_restored(session: Session, record: Record, part: Part) -> Record:
    """Write that a part is live again and the rest is still archived. Call it in the transaction that loads it."""
    partial = [live.to_json() for live in dict.fromkeys((*record.partial, part))]
    return _advance(session, record, ArchiveState.ARCHIVED, partial=json.dumps(partial))


def reencrypted(session: Session, record: Record) -> Record:
    """Write the location, size, digests and recipients that this record has: its tarball was reencrypted."""
    return _advance(
        session,
        record,
        record.state,
        location=record.location,
        size=record.size,
        md5=record.md5,
        sha256=record.sha256,
        etag=record.etag,
        version_id=record.version_id,
        recipients=list(record.recipients),
    )


def delete(session: Session, record: Record) -> None:
    """Delete the record. Call it in the transaction that loads the rows, or that logs the drop."""
    session.execute("DELETE FROM archiver.records WHERE id = %s", (record.id,), doing="deleting the record")


def by_id(session: Session, record_id: int) -> Record:
    """Return the record of that id, which must exist."""
    return _read(session, "id = %s", (record_id,))[0]


def of_tenant(session: Session, tenant_id: Key, year: int | None = None) -> tuple[Record, ...]:
    """Return a tenant's records, of one year or of all, the latest year first."""
    return _read(session, "tenant_id = %s AND (%s IS NULL OR year = %s)", (tenant_id, year, year))


def of_tenants(session: Session, tenant_ids: Sequence[Key]) -> tuple[Record, ...]:
    """Return all records of these tenants, the latest year first."""
    return _read(session, "tenant_id = ANY(%s)", (list(tenant_ids),))


def of_year(session: Session, year: int) -> tuple[Record, ...]:
    """Return every record of a year."""
    return _read(session, "year = %s", (year,))


def of_ids(session: Session, ids: Sequence[int]) -> tuple[Record, ...]:
    """Return the records of these ids; ids without a record are left out."""
    return _read(session, "id = ANY(%s)", (list(ids),))


def read_if_any(
    session: Session,
    year: int | None = None,
    customer_id: int | None = None,
    tenant_id: Key | None = None,
    *,
    shard: str | None = None,
    night: date | None = None,
    state: ArchiveState | None = None,
    name: str = "",
) -> tuple[Record, ...]:
    """Return the records that match every given filter; empty if nothing was ever archived.

    `name` is a part of the tenant's name; case is ignored.
    """
    if not ready(session):
        return ()
    filters = {"year": year, "customer_id": customer_id, "tenant_id": tenant_id, "shard": shard, "night": night}
    given = {column: value for column, value in filters.items() if value is not None}
    if state:
        given["state"] = state.value
    condition = " AND ".join([*(f"{column} = %s" for column in given), "strpos(lower(tenant_name), lower(%s)) > 0"])
    return _read(session, condition, (*given.values(), name))


def _advance(session: Session, record: Record, state: ArchiveState, **columns: object) -> Record:
    values = {"state": state.value, **columns}
    settings = SQL(", ").join(SQL("{} = %s").format(Identifier(name)) for name in values)
    session.execute(
        SQL("UPDATE archiver.records SET {} WHERE id = %s").format(settings),
        (*values.values(), record.id),
        doing=f"writing the record's state {state.value}",
    )
    return by_id(session, record.id)


def _read(session: Session, condition: str, args: Sequence[object]) -> tuple[Record, ...]:
    rows = read(session, "records", Record, f"WHERE {condition} ORDER BY year DESC, tenant_id", args)
    return tuple(map(_record, rows))


def _record(row: dict[str, Any]) -> Record:
    members = {name: Member(**member) for name, member in row["members"].items()}
    state = ArchiveState(row["state"])
    partial = tuple(Part(noun, number) for part in row["partial"] for noun, number in part.items())
    recipients = tuple(row["recipients"])
    return Record(**{**row, "state": state, "members": members, "partial": partial, "recipients": recipients})
