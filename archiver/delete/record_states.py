"""The records of many tenants, moved on together: one statement for all, in one transaction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archiver.extract.packed import Packed
from archiver.postgres.operator import host, operator
from archiver.postgres.session import Session
from archiver.postgres.tenants import Tenant
from archiver.records import archive_record
from archiver.records.archive_record import ArchiveRequest, ArchiveState, Record


@dataclass(frozen=True, kw_only=True)
class StoredTarball:
    """A tenant's tarball that lies in the store."""

    record: Record
    packed: Packed
    seconds: float  # to extract, pack and store


def ready(master: Session, tenant_ids: Sequence[int], request: ArchiveRequest) -> list[Record]:
    """The records of what was verified already, now or by a run of this night that was cut off; the proof at the
    delete tells what changed since."""
    return [record for record in archive_record.of_tenants(master, tenant_ids) if _ready(record, request)]


def _ready(record: Record, request: ArchiveRequest) -> bool:
    same = (record.year, record.night, record.depth) == (request.year, request.night, request.depth)
    return same and record.state is ArchiveState.VERIFIED and bool(record.snapshots)


def start(
    master: Session,
    tenants: Sequence[Tenant],
    request: ArchiveRequest,
    locations: Sequence[str],
    recipients: Sequence[str],
) -> dict[int, Record]:
    """Writes that extractions begin, in place of those that came to nothing; by tenant."""
    ids = [tenant.id for tenant in tenants]
    with master.transaction(doing="writing the records"):
        master.execute(
            "DELETE FROM archiver.records WHERE tenant_id = ANY(%s) AND year = %s AND state = ANY(%s)",
            (ids, request.year, list(archive_record.UNDONE)),
        )
        rows = master.rows(
            "INSERT INTO archiver.records (tenant_id, tenant_name, customer_id, customer_name, shard, location,"
            " year, night, depth, state, recipients, operator, host)"
            " SELECT w.*, %s, %s::date, %s, %s, %s, %s, %s"
            " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[]) w RETURNING id",
            (
                *(request.year, request.night, request.depth.value, ArchiveState.EXTRACTING.value, list(recipients)),
                *(operator(), host(), ids),
                *(
                    [getattr(one, name) for one in tenants]
                    for name in ("name", "customer_id", "customer_name", "shard")
                ),
                list(locations),
            ),
            doing="writing the records",
        )
    return {record.tenant_id: record for record in archive_record.of_ids(master, [row[0] for row in rows])}


_OF_TENANT = ("name", "customer_id", "customer_name", "shard")


def stored(master: Session, wanted: Sequence[StoredTarball]) -> None:
    """Writes that the tarballs lie in the store."""
    columns: dict[str, tuple[str, list[Any]]] = {
        "size": ("bigint", [one.packed.digests.size for one in wanted]),
        "md5": ("text", [one.packed.digests.md5 for one in wanted]),
        "sha256": ("text", [one.packed.digests.sha256 for one in wanted]),
        "fingerprint": ("text", [one.packed.extract.manifest.fingerprint for one in wanted]),
        "members": ("jsonb", [_members(one.packed) for one in wanted]),
        "snapshots": ("jsonb", [_json(one.packed.extract.snapshots) for one in wanted]),
        "seconds_to_extract": ("double precision", [one.seconds for one in wanted]),
    }
    _advance(master, [one.record for one in wanted], ArchiveState.STORED, columns)


def verified(master: Session, wanted: Mapping[int, float]) -> None:
    """Writes that the stored tarballs were restored and compared; seconds by the record's id."""
    query = (
        "UPDATE archiver.records r"
        " SET state = %s, seconds_to_restore = w.seconds, verified_at = now(), proved_at = now()"
        " FROM unnest(%s::bigint[], %s::double precision[]) w (id, seconds) WHERE r.id = w.id"
    )
    args = (ArchiveState.VERIFIED.value, list(wanted), list(wanted.values()))
    master.execute(query, args, doing="writing the records' state verified")


def move(master: Session, wanted: Sequence[Record], state: ArchiveState) -> None:
    """Writes one state for all of them."""
    query = "UPDATE archiver.records SET state = %s WHERE id = ANY(%s)"
    master.execute(
        query, (state.value, [record.id for record in wanted]), doing=f"writing the records' state {state.value}"
    )


def step_back(master: Session, wanted: Sequence[Record]) -> None:
    """Writes that deletions did not happen: verified as before; nothing, where their end was written since."""
    query = "UPDATE archiver.records SET state = %s WHERE id = ANY(%s) AND state = %s"
    args = (ArchiveState.VERIFIED.value, [record.id for record in wanted], ArchiveState.DELETING.value)
    master.execute(query, args, doing="writing the records' state verified")


def archived(master: Session, wanted: Sequence[Record], kept: Sequence[Mapping[str, int]], seconds: float) -> None:
    """Writes that the live rows are gone; belongs into the transaction that deletes them."""
    query = (
        "UPDATE archiver.records r SET state = %s, kept = w.kept, seconds_to_delete = %s, archived_at = now()"
        " FROM unnest(%s::bigint[], %s::jsonb[]) w (id, kept) WHERE r.id = w.id"
    )
    args = (ArchiveState.ARCHIVED.value, seconds, [record.id for record in wanted], [_json(one) for one in kept])
    master.execute(query, args, doing="writing the records' state archived")


def _advance(
    master: Session, wanted: Sequence[Record], state: ArchiveState, columns: Mapping[str, tuple[str, list[Any]]]
) -> None:
    query = (  # its words are this file's own
        f"UPDATE archiver.records r SET state = %s, {', '.join(f'{name} = w.{name}' for name in columns)}"  # noqa: S608
        f" FROM unnest(%s::bigint[], {', '.join(f'%s::{kind}[]' for kind, _ in columns.values())})"
        f" w (id, {', '.join(columns)}) WHERE r.id = w.id"
    )
    args = (state.value, [record.id for record in wanted], *(values for _, values in columns.values()))
    master.execute(query, args, doing=f"writing the records' state {state.value}")


def _members(packed: Packed) -> str:
    return _json({name: vars(member) for name, member in packed.extract.manifest.members.items()})


def _json(data: object) -> str:
    return json.dumps(data)
