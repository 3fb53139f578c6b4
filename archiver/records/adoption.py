"""An archive that the store has and the ledger does not, written into the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from archiver.format.manifest import Manifest
from archiver.postgres.session import Session
from archiver.records import archive_record, audit_log, claims, deleted_keys, id_index, ledger, retained_rows
from archiver.records.archive_record import Record
from archiver.records.ledger import plain
from archiver.records.retained_rows import RetainedRow
from archiver.records.state import Kind, State
from archiver.store.bucket import StoredDigests
from inventory.keys import key_text

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


def adopt(session: Session, adoption: Adoption) -> Record:
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
