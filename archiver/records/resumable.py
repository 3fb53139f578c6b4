"""Earlier runs on a tenant that is to be archived: an interrupted deletion to finish, or a reason to refuse."""

from __future__ import annotations

from collections.abc import Sequence

from archiver.postgres.session import Session
from archiver.postgres.tenants import Tenant
from archiver.records import archive_record, resolve
from archiver.records.archive_record import Record
from archiver.records.archive_request import ArchiveRequest
from archiver.records.state import State
from errors import RefusedError, UsageError
from inventory.keys import Key, typed


def interrupted_deletion(
    noun: str, tenant: Tenant, earlier: Sequence[Record], request: ArchiveRequest
) -> Record | None:
    """Return the record of an interrupted deletion, which is to be finished; None if there is none.

    Raise RefusedError if another run must be finished first, UsageError if the tenant is archived already.
    """
    resolve.refuse_partial(noun, earlier)
    interrupted = None
    for record in earlier:
        _refuse_other_run(record, noun, tenant, request)
        if record.year == request.year:
            interrupted = _interrupted(record, noun)
    return interrupted


def _interrupted(record: Record, noun: str) -> Record | None:
    """Return the record if its deletion was interrupted; None if its extraction was; raise as above."""
    who = f"{noun.capitalize()} {record.tenant_id}"
    if record.state is State.ARCHIVED:
        raise UsageError(f"{who} is archived already for {record.year}.")
    if record.state is State.RESTORING:
        raise RefusedError(f"{who} is half restored.", hint=f"Run: inv restore.school {typed(record.tenant_id)}")
    return record if record.state is State.DELETING else None


def _refuse_other_run(record: Record, noun: str, tenant: Tenant, request: ArchiveRequest) -> None:
    """Raise RefusedError for an interrupted run of another year or shard: only its record finds its rows."""
    if record.state not in (State.DELETING, State.RESTORING):
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


def ready(session: Session, tenant_ids: Sequence[Key], request: ArchiveRequest) -> list[Record]:
    """Return the records that are verified already, now or by an interrupted run of this night.

    Rows that changed since are detected when they are to be deleted.
    """
    return [record for record in archive_record.of_tenants(session, tenant_ids) if _ready(record, request)]


def _ready(record: Record, request: ArchiveRequest) -> bool:
    """True if the record is verified for this request, with its snapshots."""
    depth = request.depth_of(record.tenant_id, record.customer_id)
    same = (record.year, record.night, record.depth) == (request.year, request.night, depth)
    return same and record.state is State.VERIFIED and bool(record.snapshots)
