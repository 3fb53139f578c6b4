"""The record of a tenant's archive of a year, in master: its state, location, digests and members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any

from archiver.catalog.model import Part
from archiver.format import layout
from archiver.format.manifest import Manifest, Member
from archiver.postgres import own_schema
from archiver.postgres.session import Session
from archiver.postgres.tenants import Tenant
from archiver.records import ledger
from archiver.records.archive_request import ArchiveRequest
from archiver.records.ledger import NOW, members_of, plain
from archiver.records.state import UNDONE, Kind, State
from archiver.store.bucket import StoredDigests
from inventory.keys import Key, key_of_json, key_of_text, key_order, key_text, key_text_or_none


@dataclass(frozen=True, kw_only=True)
class Record:
    """The record of one tenant's archive of one year."""

    id: int
    tenant_id: Key
    tenant_name: str
    customer_id: Key | None
    customer_name: str | None
    year: int
    night: date | None  # of the run over many tenants that archived it; None: archived alone
    shard: str
    depth: str
    state: State
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

    def label(self, noun: str) -> str:
        """Return its name: `school 13 of 2013`."""
        return label(noun, self.tenant_id, self.year)

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


def label(noun: str, tenant_id: Key, year: int) -> str:
    """Return the name of a tenant's archive: `school 13 of 2013`."""
    return f"{noun} {tenant_id} of {year}"


def start(
    session: Session,
    tenants: Sequence[Tenant],
    request: ArchiveRequest,
    locations: Sequence[str],
    recipients: Sequence[str],
) -> dict[Key, Record]:
    """Write the records of new extractions in place of those that came to nothing. Return them by tenant."""
    rows = [
        {
            "key": key_text(tenant.id),
            "tenant_name": tenant.name,
            "customer_id": key_text_or_none(tenant.customer_id),
            "customer_name": tenant.customer_name,
            "year": request.year,
            "night": request.night,
            "shard": tenant.shard,
            "depth": request.depth_of(tenant.id, tenant.customer_id),
            "location": location,
            "recipients": list(recipients),
            "reason": request.reason(tenant),
        }
        for tenant, location in zip(tenants, locations, strict=True)
    ]
    with session.transaction(doing="writing the records"):
        ledger.delete(
            session,
            Kind.TENANT,
            "key = ANY(%s) AND year = %s AND state = ANY(%s)",
            ([row["key"] for row in rows], request.year, _UNDONE),
            doing="deleting records of archives that came to nothing",
        )
        ids = ledger.insert(session, Kind.TENANT, State.EXTRACTING, rows)
    return {record.tenant_id: record for record in of_ids(session, ids)}


@dataclass(frozen=True, kw_only=True)
class StoredTarball:
    """A tenant's tarball in the store."""

    record: Record
    manifest: Manifest
    digests: StoredDigests
    seconds: float  # to extract, pack and store
    snapshots: Mapping[str, str] = field(default_factory=dict)  # that a run over many tenants read


def stored(session: Session, tarball: StoredTarball) -> Record:
    """Write that the tarball is in the store."""
    all_stored(session, [tarball])
    return by_id(session, tarball.record.id)


def all_stored(session: Session, tarballs: Sequence[StoredTarball]) -> None:
    """Write that these tarballs are in the store."""
    rows = [
        {
            "id": tarball.record.id,
            **vars(tarball.digests),
            "fingerprint": tarball.manifest.fingerprint,
            "members": plain(tarball.manifest.members),
            "snapshots": tarball.snapshots,
            "seconds_to_extract": tarball.seconds,
        }
        for tarball in tarballs
    ]
    ledger.advance(session, Kind.TENANT, State.STORED, rows)


def verified(session: Session, record: Record, seconds: float) -> Record:
    """Write that the stored tarball was restored and compared."""
    all_verified(session, {record.id: seconds})
    return by_id(session, record.id)


def all_verified(session: Session, seconds_by_id: Mapping[int, float]) -> None:
    """Write that these stored tarballs were restored and compared; `seconds_by_id` has the seconds by record id."""
    rows = [
        {"id": number, "seconds_to_restore": seconds, "verified_at": NOW, "proved_at": NOW}
        for number, seconds in seconds_by_id.items()
    ]
    ledger.advance(session, Kind.TENANT, State.VERIFIED, rows)


def deleting(session: Session, record: Record) -> Record:
    """Write that the deletion begins."""
    return _advance(session, record, State.DELETING)


def deletion_had_begun(session: Session, record: Record) -> None:
    """Write `deleting` again, where a master that was set back has an earlier state of a deletion that took place."""
    ledger.advance(session, Kind.TENANT, State.DELETING, ledger.ids([record.id]), UNDONE)


def restoring(session: Session, record: Record) -> Record:
    """Write that the restore begins."""
    return _advance(session, record, State.RESTORING)


def advance_all(session: Session, records: Sequence[Record], state: State, since: Sequence[State] = ()) -> None:
    """Write one state for these records. Those in another state than those of `since` stay; empty: any."""
    ledger.advance(session, Kind.TENANT, state, ledger.ids(record.id for record in records), since)


def step_back(session: Session, record: Record, state: State) -> None:
    """Write that the act of the record's state did not happen; do nothing if the state has changed since."""
    advance_all(session, [record], state, [record.state])


def archived(session: Session, record: Record, retained: Mapping[str, int], seconds: float | None) -> Record:
    """Write that the live rows are deleted. Call it in the transaction that deletes them."""
    all_archived(session, [record], [retained], seconds)
    return by_id(session, record.id)


def all_archived(
    session: Session, records: Sequence[Record], retained: Sequence[Mapping[str, int]], seconds: float | None
) -> None:
    """Write that the live rows of these tenants are deleted, with the rows that stayed. Call it as `archived`."""
    rows = [
        {"id": record.id, "kept": counts, "seconds_to_delete": seconds, "archived_at": NOW}
        for record, counts in zip(records, retained, strict=True)
    ]
    ledger.advance(session, Kind.TENANT, State.ARCHIVED, rows)


def part_restored(session: Session, record: Record, part: Part) -> Record:
    """Write that a part is live again and the rest is still archived. Call it in the transaction that loads it."""
    partial = [live.to_json() for live in dict.fromkeys((*record.partial, part))]
    return _advance(session, record, State.ARCHIVED, partial=partial)


def delete(session: Session, record: Record) -> None:
    """Delete the record. Call it in the transaction that loads the rows, or that logs the drop."""
    ledger.delete(session, Kind.TENANT, "id = %s", (record.id,), doing="deleting the record")


def by_id(session: Session, record_id: int) -> Record:
    """Return the record of that id, which must exist."""
    return _read(session, "id = %s", (record_id,))[0]


def of_tenant(session: Session, tenant_id: Key, year: int | None = None) -> tuple[Record, ...]:
    """Return a tenant's records, of one year or of all, the latest year first."""
    return _read(session, "key = %s AND (%s IS NULL OR year = %s)", (key_text(tenant_id), year, year))


def of_tenants(session: Session, tenant_ids: Sequence[Key]) -> tuple[Record, ...]:
    """Return all records of these tenants, the latest year first."""
    return _read(session, "key = ANY(%s)", (list(map(key_text, tenant_ids)),))


def of_year(session: Session, year: int) -> tuple[Record, ...]:
    """Return every record of a year."""
    return _read(session, "year = %s", (year,))


def of_ids(session: Session, ids: Sequence[int]) -> tuple[Record, ...]:
    """Return the records of these ids; ids without a record are left out."""
    return _read(session, "id = ANY(%s)", (list(ids),))


def read_if_any(
    session: Session,
    year: int | None = None,
    customer_id: Key | None = None,
    tenant_id: Key | None = None,
    *,
    shard: str | None = None,
    night: date | None = None,
    state: State | None = None,
    name: str = "",
) -> tuple[Record, ...]:
    """Return the records that match every given filter; empty if nothing was ever archived.

    `name` is a part of the tenant's name; case is ignored.
    """
    if not own_schema.ready(session):
        return ()
    key, customer = key_text_or_none(tenant_id), key_text_or_none(customer_id)
    filters = {"year": year, "customer_id": customer, "key": key, "shard": shard, "night": night}
    given = {column: value for column, value in filters.items() if value is not None}
    if state:
        given["state"] = state.value
    condition = " AND ".join([*(f"{column} = %s" for column in given), "strpos(lower(tenant_name), lower(%s)) > 0"])
    return _read(session, condition, (*given.values(), name))


def _advance(session: Session, record: Record, state: State, **columns: object) -> Record:
    ledger.advance(session, Kind.TENANT, state, ledger.ids([record.id], **columns))
    return by_id(session, record.id)


def _read(session: Session, condition: str, args: Sequence[object]) -> tuple[Record, ...]:
    rows = ledger.read(session, Kind.TENANT, _COLUMNS, condition, args)
    return tuple(sorted(map(_record, rows), key=lambda record: (-record.year, key_order(record.tenant_id))))


def _record(row: dict[str, Any]) -> Record:
    of_record = {**row, "members": members_of(row["members"]), "recipients": tuple(row["recipients"])}
    partial = tuple(Part(noun, key_of_json(key)) for part in row["partial"] for noun, key in part.items())
    customer = None if row["customer_id"] is None else key_of_text(row["customer_id"])
    return Record(**{**of_record, "partial": partial, "customer_id": customer})


_COLUMNS = ledger.columns_of(Record, tenant_id="key")
_UNDONE = [state.value for state in UNDONE]
