"""Advance the records of many tenants at once: one statement in one transaction."""

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
from archiver.records.archive_record import ArchiveState, Record
from archiver.records.archive_request import ArchiveRequest
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
    return same and record.state is ArchiveState.VERIFIED and bool(record.snapshots)


def start(
    master: Session,
    tenants: Sequence[Tenant],
    request: ArchiveRequest,
    locations: Sequence[str],
    recipients: Sequence[str],
) -> dict[Key, Record]:
    """Write the records of new extractions in place of those that came to nothing. Return them by tenant."""
    ids = [tenant.id for tenant in tenants]
    with master.transaction(doing="writing the records"):
        master.execute(
            "DELETE FROM archiver.records WHERE tenant_id = ANY(%s) AND year = %s AND state = ANY(%s)",
            (ids, request.year, list(archive_record.UNDONE)),
        )
        rows = master.rows(
            "INSERT INTO archiver.records (tenant_id, tenant_name, customer_id, customer_name, shard, location,"
            " reason, depth, year, night, state, recipients, operator, host)"
            " SELECT w.*, %s, %s::date, %s, %s, %s, %s"
            " FROM unnest(%s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[],"
            " %s::text[], %s::text[]) w"
            " RETURNING id",
            (
                *(request.year, request.night, ArchiveState.EXTRACTING.value, list(recipients)),
                *(operator(), host(), ids),
                *(
                    [getattr(tenant, name) for tenant in tenants]
                    for name in ("name", "customer_id", "customer_name", "shard")
                ),
                list(locations),
                list(map(request.reason, tenants)),
                [request.depth_of(tenant.id, tenant.customer_id) for tenant in tenants],
            ),
            doing="writing the records",
        )
    return {record.tenant_id: record for record in archive_record.of_ids(master, [row[0] for row in rows])}


_OF_TENANT = ("name", "customer_id", "customer_name", "shard")


def stored(master: Session, tarballs: Sequence[StoredTarball]) -> None:
    """Write the state `stored` with what is known of the tarballs."""
    columns: dict[str, tuple[str, list[Any]]] = {
        "size": ("bigint", [tarball.digests.size for tarball in tarballs]),
        **{
            name: ("text", [getattr(tarball.digests, name) for tarball in tarballs])
            for name in ("md5", "sha256", "etag", "version_id")
        },
        "fingerprint": ("text", [tarball.packed.extract.manifest.fingerprint for tarball in tarballs]),
        "members": ("jsonb", [_members(tarball.packed) for tarball in tarballs]),
        "snapshots": ("jsonb", [_json(tarball.packed.extract.snapshots) for tarball in tarballs]),
        "seconds_to_extract": ("double precision", [tarball.seconds for tarball in tarballs]),
    }
    _advance(master, [tarball.record for tarball in tarballs], ArchiveState.STORED, columns)


def verified(master: Session, seconds_by_id: Mapping[int, float]) -> None:
    """Write the state `verified`; `seconds_by_id` has the seconds to restore by record id."""
    query = (
        "UPDATE archiver.records r"
        " SET state = %s, seconds_to_restore = w.seconds, verified_at = now(), proved_at = now()"
        " FROM unnest(%s::bigint[], %s::double precision[]) w (id, seconds) WHERE r.id = w.id"
    )
    args = (ArchiveState.VERIFIED.value, list(seconds_by_id), list(seconds_by_id.values()))
    master.execute(query, args, doing="writing the records' state verified")


def move(master: Session, records: Sequence[Record], state: ArchiveState) -> None:
    """Write one state for all records."""
    query = "UPDATE archiver.records SET state = %s WHERE id = ANY(%s)"
    master.execute(
        query, (state.value, [record.id for record in records]), doing=f"writing the records' state {state.value}"
    )


def step_back(master: Session, records: Sequence[Record]) -> None:
    """Set records back from `deleting` to `verified`; other states stay."""
    query = "UPDATE archiver.records SET state = %s WHERE id = ANY(%s) AND state = %s"
    args = (ArchiveState.VERIFIED.value, [record.id for record in records], ArchiveState.DELETING.value)
    master.execute(query, args, doing="writing the records' state verified")


def archived(master: Session, records: Sequence[Record], retained: Sequence[Mapping[str, int]], seconds: float) -> None:
    """Write the state `archived`; belongs in the transaction that deletes the rows."""
    query = (
        "UPDATE archiver.records r SET state = %s, kept = w.kept, seconds_to_delete = %s, archived_at = now()"
        " FROM unnest(%s::bigint[], %s::jsonb[]) w (id, kept) WHERE r.id = w.id"
    )
    args = (
        ArchiveState.ARCHIVED.value,
        seconds,
        [record.id for record in records],
        [_json(counts) for counts in retained],
    )
    master.execute(query, args, doing="writing the records' state archived")


def _advance(
    master: Session, records: Sequence[Record], state: ArchiveState, columns: Mapping[str, tuple[str, list[Any]]]
) -> None:
    """Write one state, and the columns' values by record."""
    query = (  # no input: column names and types are constants of this file
        f"UPDATE archiver.records r SET state = %s, {', '.join(f'{name} = w.{name}' for name in columns)}"  # noqa: S608
        f" FROM unnest(%s::bigint[], {', '.join(f'%s::{kind}[]' for kind, _ in columns.values())})"
        f" w (id, {', '.join(columns)}) WHERE r.id = w.id"
    )
    args = (state.value, [record.id for record in records], *(values for _, values in columns.values()))
    master.execute(query, args, doing=f"writing the records' state {state.value}")


def _members(packed: Packed) -> str:
    """Return the manifest's members as JSON."""
    return _json({name: vars(member) for name, member in packed.extract.manifest.members.items()})


def _json(data: object) -> str:
    """Return data as JSON."""
    return json.dumps(data)
