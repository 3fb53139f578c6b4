"""Advance the records of many tenants at once: one statement in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archiver.extract.packed import Packed
from archiver.postgres.session import Session
from archiver.records import archive_record, ledger
from archiver.records.archive_record import Record
from archiver.records.archive_request import ArchiveRequest
from archiver.records.ledger import plain
from archiver.records.state import Kind, State
from archiver.store.bucket import StoredDigests
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class StoredTarball:
    """A tenant's tarball in the store."""

    record: Record
    packed: Packed
    digests: StoredDigests
    seconds: float  # to extract, pack and store


def ready(master: Session, tenant_ids: Sequence[Key], request: ArchiveRequest) -> list[Record]:
    """Return the records that are verified already, now or by an interrupted run of this night.

    Rows that changed since are detected when they are to be deleted.
    """
    return [record for record in archive_record.of_tenants(master, tenant_ids) if _ready(record, request)]


def _ready(record: Record, request: ArchiveRequest) -> bool:
    """True if the record is verified for this request, with its snapshots."""
    depth = request.depth_of(record.tenant_id, record.customer_id)
    same = (record.year, record.night, record.depth) == (request.year, request.night, depth)
    return same and record.state is State.VERIFIED and bool(record.snapshots)


def stored(master: Session, tarballs: Sequence[StoredTarball]) -> None:
    """Write the state `stored` with what is known of the tarballs."""
    rows = [
        {
            "id": tarball.record.id,
            **vars(tarball.digests),
            "fingerprint": tarball.packed.extract.manifest.fingerprint,
            "members": plain(tarball.packed.extract.manifest.members),
            "snapshots": tarball.packed.extract.snapshots,
            "seconds_to_extract": tarball.seconds,
        }
        for tarball in tarballs
    ]
    ledger.advance(master, Kind.TENANT, State.STORED, rows)


def move(master: Session, records: Sequence[Record], state: State) -> None:
    """Write one state for all records."""
    ledger.advance(master, Kind.TENANT, state, ledger.ids(record.id for record in records))


def step_back(master: Session, records: Sequence[Record]) -> None:
    """Set records back from `deleting` to `verified`; other states stay."""
    rows = ledger.ids(record.id for record in records)
    ledger.advance(master, Kind.TENANT, State.VERIFIED, rows, [State.DELETING])
