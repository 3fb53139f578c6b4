"""An archive that the store has and the ledger does not, written into the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from archiver.format import encryption
from archiver.format.manifest import Manifest
from archiver.postgres.session import Session
from archiver.records import (
    archive_record,
    audit_log,
    claims,
    deleted_keys,
    id_index,
    ledger,
    month_record,
    retained_rows,
    slice_record,
)
from archiver.records.archive_record import Record
from archiver.records.claims import SliceClaim
from archiver.records.ledger import plain
from archiver.records.month_record import Month
from archiver.records.retained_rows import RetainedRow
from archiver.records.slice_record import Slice
from archiver.records.state import Kind, State
from archiver.store.bucket import StoredDigests
from inventory.keys import key_text

UNKNOWN_KEYS = ["unknown"]  # in place of recipients: an encrypted file does not tell them
REPLACEABLE = (State.EXTRACTING, State.STORED, State.VERIFIED)  # nothing is deleted by these records


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """The record that the ledger is to get of a tenant's archive."""

    manifest: Manifest
    location: str
    digests: StoredDigests
    id: int | None  # of the record that master lost, by the shard's marker; None: a new one
    started_at: datetime
    archived_at: datetime | None
    depth: str
    night: str | None
    state: State  # DELETING: the shard's rows are gone, master's are live; ARCHIVED
    live: Mapping[str, int]  # rows, by table
    retained: Sequence[RetainedRow]
    ids: Mapping[str, list[int]]  # of rows of master, by table
    deleted: Mapping[str, list[int]]  # of those, the ones that are not live


@dataclass(frozen=True, kw_only=True)
class MonthAdoption:
    """The record that the ledger is to get of past months' activity, with the slices whose rows are only there."""

    month: str
    year: int
    before: datetime
    shard: str
    location: str
    fingerprint: str
    digests: StoredDigests
    id: int
    started_at: datetime
    archived_at: datetime
    encrypted: bool
    positions: Sequence[SlicePosition]

    @property
    def state(self) -> State:
        """The state of its record."""
        return State.ARCHIVED


@dataclass(frozen=True, kw_only=True)
class SlicePosition:
    """A slice in a month's object, and what a shard's marker says of its rows."""

    claim: SliceClaim
    start: int
    size: int
    sha256: str
    rows: Mapping[str, int]


def adopt(session: Session, adoption: Adoption | MonthAdoption) -> None:
    """Write the record of an archive, as `adopt_tenant` and `adopt_month` do."""
    match adoption:
        case Adoption():
            adopt_tenant(session, adoption)
        case MonthAdoption():
            adopt_month(session, adoption)


def adopt_month(session: Session, adoption: MonthAdoption) -> None:
    """Write the record of a month with its slices and the log's entries, all or nothing.

    It replaces a record of the same id that deleted nothing. Raises DatabaseError if the ledger refuses.
    """
    with session.transaction(doing="adopting a month"):
        states = [state.value for state in REPLACEABLE]
        doing = "deleting the record of a month that came to nothing"
        ledger.delete(session, Kind.MONTH, "id = %s AND state = ANY(%s)", (adoption.id, states), doing=doing)
        row = {name: getattr(adoption, name) for name in _OF_MONTH}
        own = {"key": key_text(adoption.month), "recipients": UNKNOWN_KEYS if adoption.encrypted else []}
        ledger.insert(session, Kind.MONTH, adoption.state, [{**row, **asdict(adoption.digests), **own}])
        [month] = month_record.of_ids(session, [adoption.id])
        slices = [_slice(month, position) for position in adoption.positions]
        slice_record.write(session, month, slices)
        for month_slice, position in zip(slices, adoption.positions, strict=True):
            slice_record.deleted(session, month_slice, position.claim.deleted, position.claim.stayed)
        details = {"location": month.location, "state": month.state.value, "sha256": month.sha256}
        audit_log.log_all(session, "adopt", slices, [details] * len(slices))


def _slice(month: Month, position: SlicePosition) -> Slice:
    return Slice(
        month=month,
        tenant_id=position.claim.key,
        start=position.start,
        size=position.size,
        sha256=position.sha256,
        rows=position.rows,
        went=None,
        stayed=None,
    )


_OF_MONTH = ("id", "year", "before", "shard", "location", "fingerprint", "started_at", "archived_at")


def adopt_tenant(session: Session, adoption: Adoption) -> Record:
    """Write the record of an archive with its books and the log's entry, all or nothing. Return the record.

    It replaces a record of the same tenant and year that deleted nothing. Raises DatabaseError if the ledger refuses.
    """
    with session.transaction(doing="adopting an archive"):
        _make_room(session, adoption)
        [number] = ledger.insert(session, Kind.TENANT, adoption.state, [_row(adoption)])
        record = archive_record.by_id(session, number)
        if adoption.state is State.ARCHIVED:
            id_index.write(session, record, adoption.ids)
            deleted_keys.remember(session, record, adoption.deleted)
            retained_rows.drop(session, record)
            retained_rows.remember(session, record, adoption.retained)
        details = {"location": record.location, "state": record.state.value, "sha256": record.sha256}
        audit_log.log(session, "adopt", record, details)
    return record


def _make_room(session: Session, adoption: Adoption) -> None:
    manifest, states = adoption.manifest, [state.value for state in REPLACEABLE]
    ledger.delete(
        session,
        Kind.TENANT,
        "key = %s AND year = %s AND state = ANY(%s)",
        (key_text(manifest.tenant_id), manifest.year, states),
        doing="deleting the record of an archive that came to nothing",
    )


def _row(adoption: Adoption) -> dict[str, object]:
    manifest = adoption.manifest
    own = {"id": adoption.id} if adoption.id is not None else {}
    return {
        **own,
        "key": key_text(manifest.tenant_id),
        "tenant_name": manifest.tenant_name,
        "customer_id": manifest.customer_id,
        "customer_name": manifest.customer_name,
        "year": manifest.year,
        "night": adoption.night,
        "shard": manifest.shard,
        "depth": adoption.depth,
        "location": adoption.location,
        "recipients": UNKNOWN_KEYS if encryption.is_encrypted(adoption.location) else [],
        "fingerprint": manifest.fingerprint,
        "members": plain(manifest.members),
        "kept": adoption.live,
        "started_at": adoption.started_at,
        "archived_at": adoption.archived_at,
        **asdict(adoption.digests),
    }


def skip_known_ids(master: Session, shards: Sequence[Session]) -> None:
    """Give out no id that a marker of a shard knows: its record may be adopted later."""
    ledger.skip_ids(master, claims.last_id(shards))
