"""What earlier runs left of a tenant that is to be archived: a deletion to end, or a reason to refuse; pure."""

from __future__ import annotations

from collections.abc import Sequence

from archiver.postgres.tenants import Tenant
from archiver.records import resolve
from archiver.records.archive_record import ArchiveRequest, ArchiveState, Record
from errors import RefusedError, UsageError


def interrupted_deletion(
    noun: str, tenant: Tenant, earlier: Sequence[Record], request: ArchiveRequest
) -> Record | None:
    """The record of a deletion that was cut off, which is to be ended; RefusedError where something else stands in the
    way, UsageError where the tenant is archived already."""
    resolve.refuse_partial(noun, earlier)
    half_way = None
    for record in earlier:
        _refuse_strange(record, noun, tenant, request)
        if record.year == request.year:
            half_way = _half_way(record, noun)
    return half_way


def _half_way(record: Record, noun: str) -> Record | None:
    who = f"{noun.capitalize()} {record.tenant_id}"
    if record.state is ArchiveState.ARCHIVED:
        raise UsageError(f"{who} is archived already for {record.year}.")
    if record.state is ArchiveState.RESTORING:
        raise RefusedError(f"{who} is half restored.", hint=f"Run: inv restore.{noun} {record.tenant_id}")
    return record if record.state is ArchiveState.DELETING else None


def _refuse_strange(record: Record, noun: str, tenant: Tenant, request: ArchiveRequest) -> None:
    """A run of another year or shard that was cut off must be ended first: only its record names its rows."""
    if record.state not in (ArchiveState.DELETING, ArchiveState.RESTORING):
        return
    who = f"{noun.capitalize()} {record.tenant_id} is {record.state.value} for {record.year}"
    if record.year != request.year:
        raise RefusedError(
            f"{who}, by a run that was cut off.",
            hint=f"End that first: the same command for {record.year} (--date, or --year at a restore).",
        )
    if record.shard != tenant.shard:
        raise RefusedError(
            f"{who} on {record.shard}, by a run that was cut off, and its shard is {tenant.shard} now.",
            hint=f"Set it back to {record.shard} and run this again.",
        )
