"""Archive tenants one by one: extract, pack, store, verify, delete."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path

from archiver.completeness import completeness
from archiver.delete.one import Deletion, VerifiedTenant, delete_tenant, put_back, resume
from archiver.delete.unchanged import Stored
from archiver.extract.one import extract_one
from archiver.extract.packed import Packed
from archiver.format import bundle
from archiver.format.spool_folder import work_folder
from archiver.postgres.databases import Placement
from archiver.postgres.fence import fenced, open_fence
from archiver.postgres.session import DatabaseError
from archiver.postgres.tenants import Tenant
from archiver.postgres.tenants import tenant as find
from archiver.records import archive_record, guards, move_record, resolve
from archiver.records.archive_record import Record, StoredTarball
from archiver.records.archive_request import ArchiveRequest
from archiver.records.resumable import interrupted_deletion
from archiver.runs.context import (
    ArchiveOutcome,
    Archiver,
    OnArchived,
    deadline_passed,
    new_location,
    opened,
    out_of_time,
    pack,
)
from archiver.runs.each import Done, for_each
from archiver.runs.pipeline import stored_and_verified
from archiver.runs.settle import asking_markers, settle
from archiver.store.bucket import StoredDigests
from archiver.store.standing import MissingObjectError
from archiver.verify.makeable import prove_makeable
from archiver.verify.verify import Verified, verify
from errors import CutoverError, RefusedError, UsageError
from inventory.keys import Key


def tenant_to_archive(archiver: Archiver, tenant_id: Key, year: int) -> Tenant:
    """Return the live tenant that is not archived for the year; raise UsageError if there is none.

    If the tenant is already archived, the fence is opened: a run killed at its very end left it closed.
    """
    try:
        with asking_markers(archiver):
            return resolve.one_to_archive(archiver.databases, tenant_id, year)
    except resolve.ArchivedError:
        open_fence(archiver.fence, archiver.model.tenant.noun, tenant_id)
        raise


def archive(
    archiver: Archiver, tenants: Iterable[Tenant], request: ArchiveRequest, on_result: OnArchived
) -> list[ArchiveOutcome]:
    """Archive tenants one by one. A tenant that fails stays live and is reported; the others continue.

    Raises UsageError, with nothing changed, if the catalog does not cover everything that can reference a tenant's
    rows, or has no such depth. The caller holds the locks. `on_result` is called with each outcome.
    """
    for depth in request.depths:
        archiver.model.catalog.rule(depth)
    completeness.prove_complete(archiver.databases)
    prove_makeable(archiver.databases, archiver.scratch)
    tenants = _in_order(archiver, sorted(tenants, key=attrgetter("shard", "id")), request)
    shards = {tenant.shard for tenant in tenants}
    settle(archiver, shards, pretend=request.pretend)
    if not request.pretend:
        guards.note(archiver.databases, shards)
    by_id = {tenant.id: tenant for tenant in tenants}
    return for_each(
        by_id,
        lambda tenant_id: _attempt(archiver, by_id[tenant_id], request),
        on_result,
        databases=archiver.databases,
    )


def _in_order(archiver: Archiver, tenants: Sequence[Tenant], request: ArchiveRequest) -> list[Tenant]:
    """Return tenants by their depth, in `Model.in_order`."""
    order = archiver.model.in_order(request.depths)
    return sorted(tenants, key=lambda tenant: order.index(request.depth_of(tenant.id, tenant.customer_id)))


def _attempt(archiver: Archiver, tenant: Tenant, request: ArchiveRequest) -> Done[Deletion | None]:
    act, noun = _pretend if request.pretend else _archive, archiver.model.tenant.noun
    # In a night maintenance mode keeps the application off.
    fence = None if request.pretend or request.night else archiver.fence
    if deadline_passed(request):
        raise out_of_time(noun, tenant.id)
    with work_folder(archiver.work) as work, fenced(fence, noun, tenant.id):
        return act(archiver, archiver.databases.placement(tenant.shard), tenant, request, work)


def _archive(
    archiver: Archiver, placement: Placement, tenant: Tenant, request: ArchiveRequest, work: Path
) -> Done[Deletion | None]:
    """Archive one tenant: end an earlier deletion, or extract, pack, store, verify and delete."""
    done = _end_earlier(archiver, placement, tenant, request, work)
    if done is None:
        record = _begin(archiver, tenant, request)
        packed = pack(archiver, extract_one(placement, archiver.model, tenant, request.year, work), work)
        proven = _store_and_verify(archiver, record, packed, work)
        done = delete_tenant(
            placement,
            archiver.model,
            proven,
            work,
            _stored(archiver, work),
            accept_orphans=request.accept_orphans,
        )
    return Done(rows=done.record.rows, size=done.record.size or 0, detail=done)


def _pretend(
    archiver: Archiver, placement: Placement, tenant: Tenant, request: ArchiveRequest, work: Path
) -> Done[Deletion | None]:
    packed, proof = pretended(archiver, placement, tenant, request.year, work)
    return Done(rows=proof.manifest.rows, size=packed.digests.size, detail=None)


def pretended(
    archiver: Archiver, placement: Placement, tenant: Tenant, year: int, work: Path
) -> tuple[Packed, Verified]:
    """Extract, pack and verify from the local file, leaving no trace. `work` must be empty."""
    packed = pack(archiver, extract_one(placement, archiver.model, tenant, year, work), work)
    with bundle.opened(packed.path, archiver.keys) as archive:
        return packed, verify(archive, tenant.id, year, archiver.scratch, archiver.model)


def _end_earlier(
    archiver: Archiver, placement: Placement, tenant: Tenant, request: ArchiveRequest, work: Path
) -> Deletion | None:
    """Check again, now under the lock, what an earlier run left; finish a deletion that was interrupted."""
    _still_there(archiver, tenant)
    earlier = archive_record.of_tenant(archiver.databases.master, tenant.id)
    half_way = interrupted_deletion(archiver.model.tenant.noun, tenant, earlier, request)
    return _resume(archiver, placement, half_way, request, work) if half_way else None


def _still_there(archiver: Archiver, tenant: Tenant) -> None:
    """Raise RefusedError if the tenant has moved to another shard since it was selected, or is partly moved."""
    noun, databases = archiver.model.tenant.noun, archiver.databases
    move_record.refuse_half_moved(databases.master, noun, [tenant.id])
    now = find(databases.master, databases.model.tenant, tenant.id)
    if now is not None and now.shard != tenant.shard:
        raise RefusedError(
            f"{noun.capitalize()} {tenant.id} moved from {tenant.shard} to {now.shard} in the meantime.",
            hint="Run the same command again.",
        )


def _resume(
    archiver: Archiver, placement: Placement, record: Record, request: ArchiveRequest, work: Path
) -> Deletion | None:
    """Finish an interrupted deletion; if master refuses it or has changed, put the shard's rows back instead."""
    try:
        stored, accept_orphans = _stored(archiver, work), request.accept_orphans
        return resume(placement, archiver.model, record, work, stored, accept_orphans=accept_orphans)
    except MissingObjectError as error:
        raise MissingObjectError(
            f"{error} An earlier run had emptied the shard, whose rows are only in that object.",
            hint="Put an older version of it back under the same key; then run the same command again.",
        ) from error
    except (RefusedError, DatabaseError) as error:
        if isinstance(error, DatabaseError) and error.transient:
            raise
        _put_back(archiver, placement, record, work, error)
        raise RefusedError(
            f"{error} An earlier run had emptied the shard; its rows were put back from the archive.", hint=error.hint
        ) from error


def _put_back(archiver: Archiver, placement: Placement, record: Record, work: Path, why: CutoverError) -> None:
    """Put the shard's rows back. This is the only way of ending a deletion that opens an earlier run's archive."""
    try:
        with opened(archiver, work, record) as stored:
            put_back(placement, archiver.model, record, stored)
    except UsageError as closed:
        raise UsageError(
            f"{why} An earlier run had emptied the shard; its rows must be put back from the archive. {closed}",
            hint=closed.hint,
        ) from why


def _begin(archiver: Archiver, tenant: Tenant, request: ArchiveRequest) -> Record:
    location, master = new_location(archiver, request.year, tenant.id), archiver.databases.master
    return archive_record.start(master, [tenant], request, [location], archiver.keys.recipients)[tenant.id]


def _store_and_verify(archiver: Archiver, begun: Record, packed: Packed, work: Path) -> VerifiedTenant:
    master, extract = archiver.databases.master, packed.extract

    def recorded(digests: StoredDigests) -> Record:
        tarball = StoredTarball(record=begun, manifest=extract.manifest, digests=digests, seconds=extract.seconds)
        return archive_record.stored(master, tarball)

    stored, proof = stored_and_verified(archiver, packed, begun.location, archiver.model, recorded, work)
    record = archive_record.verified(master, stored, proof.seconds)
    return VerifiedTenant(record=record, proof=proof, snapshots=extract.snapshots)


def _stored(archiver: Archiver, work: Path) -> Stored:
    return Stored(archiver.bucket, partial(opened, archiver, work))
