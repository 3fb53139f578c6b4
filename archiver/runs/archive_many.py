"""Archive many tenants in bulk: make verified archives shard by shard, then delete all their rows."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from archiver.checks.left_rows import LeftRows, left_rows
from archiver.completeness import completeness
from archiver.delete import many
from archiver.delete.many import BulkDeletion
from archiver.delete.one import Deletion
from archiver.delete.table_locks import BulkWork, OnStrategy
from archiver.delete.unchanged import Stored
from archiver.format.spool_folder import work_folder
from archiver.postgres.session import DatabaseError
from archiver.postgres.tenants import Tenant
from archiver.records import archive_record, guards, markers
from archiver.records.archive_record import Record
from archiver.records.archive_request import ArchiveRequest
from archiver.records.markers import DELETED
from archiver.records.resumable import interrupted_deletion, ready
from archiver.records.settlement import Settlement, seen, settlement
from archiver.records.state import Kind, State
from archiver.runs.archive import archive
from archiver.runs.bulk_progress import expected, reporting_progress
from archiver.runs.context import ArchiveOutcome, Archiver, OnArchived, opened
from archiver.runs.each import Together
from archiver.runs.engines import IN_TURN, Engine
from archiver.runs.eta import Eta
from archiver.runs.one_by_one import reasons_against_sets
from archiver.runs.progress import OnProgress
from archiver.runs.settle import settle
from archiver.runs.shard_deletions import ShardDeletion, by_depth, by_shard, delete_from_shards
from archiver.runs.units import split
from archiver.store.bucket import StorageError
from archiver.store.standing import MissingObjectError, missing_objects
from archiver.verify.makeable import prove_makeable
from errors import CutoverError, UnknownError
from inventory.keys import Key


@dataclass
class _Run:
    """The state of one bulk run, with the outcomes reported so far."""

    archiver: Archiver
    request: ArchiveRequest
    on_strategy: OnStrategy
    engine: Engine
    tenants: Mapping[Key, Tenant]
    results: Together[Key, Deletion | None]

    @property
    def noun(self) -> str:
        """The catalog's noun for a tenant."""
        return self.archiver.model.tenant.noun


def archive_many(
    archiver: Archiver,
    tenants: Sequence[Tenant],
    request: ArchiveRequest,
    on_result: OnArchived,
    on_strategy: OnStrategy = lambda strategy: None,
    engine: Engine = IN_TURN,
    progress: OnProgress = lambda done: None,
) -> list[ArchiveOutcome]:
    """Archive tenants in bulk. A tenant that fails stays live and is reported; the others continue.

    Guarantees and errors are those of `archive`. The caller holds the locks of all databases. Tenants are archived one
    by one if the model's rows can't be deleted in bulk; so is a tenant whose deletion an earlier run began that way.
    """
    for depth in request.depths:
        archiver.model.catalog.rule(depth)
    completeness.prove_complete(archiver.databases)
    prove_makeable(archiver.databases, archiver.scratch)
    run = _Run(
        archiver=archiver,
        request=request,
        on_strategy=on_strategy,
        engine=engine,
        tenants={tenant.id: tenant for tenant in tenants},
        results=Together(on_result=on_result),
    )
    tenants = _placed(run, tenants)
    if not tenants:
        return run.results.outcomes
    if not request.pretend:
        archiver.bucket.prove_conditional()
    shards = {tenant.shard for tenant in tenants}
    settle(archiver, shards, pretend=request.pretend)
    if not request.pretend:
        guards.note(archiver.databases, shards)
    alone = reasons_against_sets(archiver, tenants, request)
    for reason in dict.fromkeys(alone.values()):
        on_strategy(f"one by one: {reason}")
    if in_sets := [tenant for tenant in tenants if tenant.id not in alone]:
        _archive_in_sets(run, in_sets, progress)
    _one_at_a_time(run, alone)
    return run.results.outcomes


def _archive_in_sets(run: _Run, tenants: Sequence[Tenant], progress: OnProgress) -> None:
    half_way, fresh = _sorted_out(run, tenants)
    databases, request = run.archiver.databases, run.request
    eta = Eta(rows=expected(databases, tenants), workers=run.engine.workers)
    if request.until is not None:
        run.request = replace(request, until=request.until - eta.deletion_time)
    with reporting_progress(databases, tenants, request, eta, progress):
        _prepare(run, fresh)
        if not request.pretend:
            _delete(run, half_way, fresh)


def _placed(run: _Run, tenants: Sequence[Tenant]) -> list[Tenant]:
    """Return the tenants on a shard of the inventory; the others fail."""
    placed: list[Tenant] = []
    for tenant in tenants:
        with run.results.skip_on_error(tenant.id):
            run.archiver.databases.placement(tenant.shard)
            placed.append(tenant)
    return placed


def _sorted_out(run: _Run, tenants: Sequence[Tenant]) -> tuple[list[Record], list[Tenant]]:
    """Return the deletions that an earlier run left unfinished, and the tenants that can be archived."""
    master, earlier = run.archiver.databases.master, defaultdict(list)
    for record in archive_record.of_tenants(master, [tenant.id for tenant in tenants]):
        earlier[record.tenant_id].append(record)
    deleting: list[Record] = []
    fresh: list[Tenant] = []
    for tenant in tenants:
        with run.results.skip_on_error(tenant.id):
            half_way = interrupted_deletion(run.noun, tenant, earlier[tenant.id], run.request)
            if half_way is None:
                fresh.append(tenant)
            else:
                deleting.append(half_way)
    to_finish, unstarted = _by_settlement(run, deleting)
    archive_record.advance_all(master, unstarted, State.VERIFIED, [State.DELETING])
    return to_finish, [*fresh, *(run.tenants[record.tenant_id] for record in unstarted)]


def _by_settlement(run: _Run, deleting: Sequence[Record]) -> tuple[list[Record], list[Record]]:
    """Return the interrupted deletions to finish, and those of which nothing was committed, as the markers say."""
    acts: dict[int, set[str]] = {}
    if run.archiver.model.tenant.shard is not None:
        for shard, group in by_shard(deleting):
            acts |= markers.acts_of_all(run.archiver.databases.session(shard), group)
    settled = [(record, settlement(Kind.TENANT, record.state, seen(acts.get(record.id, ())))) for record in deleting]
    to_finish = [record for record, act in settled if act is Settlement.FINISH]
    return to_finish, [record for record, act in settled if act is Settlement.STEP_BACK]


def _markers(run: _Run, records: Iterable[Record]) -> dict[Key, dict[str, Any]]:
    """Return the shards' deletion markers by tenant id."""
    contents: dict[Key, dict[str, Any]] = {}
    if run.archiver.model.tenant.shard is not None:
        for shard, group in by_shard(records):
            contents |= markers.read_all(run.archiver.databases.session(shard), group, DELETED)
    return contents


def _prepare(run: _Run, fresh: Sequence[Tenant]) -> None:
    """Make verified archives unit by unit; if a unit fails, the tenants it did not verify fail with it."""
    before = _verified(run, fresh)
    unverified = [tenant for tenant in fresh if tenant.id not in before]
    for result in run.engine.run(split(unverified, run.request, run.engine.workers), run.archiver):
        verified = _verified(run, [run.tenants[tenant_id] for tenant_id in result.unit.tenant_ids])
        reported = {outcome.item for outcome in result.outcomes}
        for outcome in result.outcomes:
            if outcome.error or run.request.pretend:
                run.results.end(outcome)
        for tenant_id in result.unit.tenant_ids:
            if result.error and tenant_id not in verified | reported:
                run.results.fail(tenant_id, result.error)


def _verified(run: _Run, tenants: Sequence[Tenant]) -> set[Key]:
    if run.request.pretend:
        return set()
    records = ready(run.archiver.databases.master, [tenant.id for tenant in tenants], run.request)
    return {record.tenant_id for record in records}


def _delete(run: _Run, half_way: Sequence[Record], fresh: Sequence[Tenant]) -> None:
    """Delete from every shard, then from master; tenants that can't be deleted in bulk are deleted one by one."""
    archiver, ids = run.archiver, [tenant.id for tenant in fresh]
    verified = ready(archiver.databases.master, ids, run.request)
    with work_folder(archiver.work) as folder:
        work = BulkWork(
            databases=archiver.databases,
            depth=run.request.depth,
            folder=folder,
            stored=Stored(archiver.bucket, partial(opened, archiver, folder)),
            on_strategy=run.on_strategy,
            accept_orphans=run.request.accept_orphans,
        )
        if archiver.model.tenant.shard is None:
            archive_record.advance_all(archiver.databases.master, verified, State.DELETING)
        else:
            _empty_shards(run, work, verified)
        _empty_master(run, work, [*half_way, *verified])


def _empty_shards(run: _Run, work: BulkWork, records: Sequence[Record]) -> None:
    archive_record.advance_all(run.archiver.databases.master, records, State.DELETING)
    for deletion in delete_from_shards(work, records, run.engine.workers):
        _settle_shard(run, deletion)


def _settle_shard(run: _Run, deletion: ShardDeletion) -> None:
    records, failed = deletion.item, deletion.detail or {}
    if deletion.error:
        _bulk_failed(run, records, deletion.error)
        return
    # Their archives differ from the live rows, or are no longer in the store: the next run makes new ones.
    skipped = [record for record in records if record.tenant_id in failed]
    missing = [record for record in skipped if isinstance(failed[record.tenant_id], MissingObjectError)]
    archive_record.advance_all(run.archiver.databases.master, missing, State.EXTRACTING)
    changed = [record for record in skipped if record not in missing]
    archive_record.advance_all(run.archiver.databases.master, changed, State.STORED)
    for tenant_id, reason in failed.items():
        run.results.fail(tenant_id, reason)


def _empty_master(run: _Run, work: BulkWork, records: Sequence[Record]) -> None:
    shard_markers = _markers(run, records)
    sharded = run.archiver.model.tenant.shard is not None
    due = [record for record in records if record.tenant_id in shard_markers or not sharded]
    for depth, group in by_depth(run.archiver.model, due):
        _end(run, replace(work, depth=depth), group, shard_markers)


def _end(run: _Run, work: BulkWork, records: Sequence[Record], shard_markers: Mapping[Key, Mapping[str, Any]]) -> None:
    try:
        deletion = many.empty_master(
            work, records, {record.tenant_id: shard_markers.get(record.tenant_id, {}) for record in records}
        )
    except CutoverError as error:
        _bulk_failed(run, records, error)
        return
    of_set = archive_record.of_ids(run.archiver.databases.master, [record.id for record in records])
    done = [record for record in of_set if record.tenant_id in deletion.deleted]
    appeared = _late_rows(run, done)
    for record in done:
        run.results.end(_outcome(run, record, deletion, appeared.get(record.tenant_id, {})))
    _one_at_a_time(run, deletion.failed)


def _late_rows(run: _Run, records: Sequence[Record]) -> LeftRows:
    """Return the rows added after the proof that refer to deleted rows; their tenants are archived, come what may."""
    try:
        return left_rows(run.archiver.databases, records)
    except CutoverError as error:
        run.on_strategy(f"rows added after verification are not counted (inv archive.audit counts them): {error}")
        return {}


def _outcome(run: _Run, record: Record, deletion: BulkDeletion, appeared: Mapping[str, int]) -> ArchiveOutcome:
    deleted, retained = deletion.deleted[record.tenant_id], deletion.retained[record.tenant_id]
    return ArchiveOutcome(
        item=record.tenant_id,
        seconds=(time.monotonic() - run.results.began) / len(run.tenants),
        rows=record.rows,
        size=record.size or 0,
        detail=Deletion(record=record, deleted=deleted, retained=retained, appeared=appeared),
    )


def _bulk_failed(run: _Run, records: Sequence[Record], error: CutoverError) -> None:
    """Retry one by one after an error that may concern one tenant only; leave a temporary error to the next run.

    If an object went during the deletion, the next run makes a new one, and deletes the others together.
    """
    passing = isinstance(error, DatabaseError) and error.transient
    if passing or isinstance(error, (UnknownError, StorageError, MissingObjectError)):
        _step_back(run, records)
        for record in records:
            run.results.fail(record.tenant_id, error)
        return
    run.on_strategy(f"one by one: {error}")
    _one_at_a_time(run, [record.tenant_id for record in records])


def _step_back(run: _Run, records: Sequence[Record]) -> None:
    """Mark tenants as live if nothing was committed; if that can't be determined, the next run settles it."""
    with suppress(CutoverError):
        master = run.archiver.databases.master
        _, live = _by_settlement(run, archive_record.of_ids(master, [record.id for record in records]))
        archive_record.advance_all(master, live, State.VERIFIED, [State.DELETING])
        missing = missing_objects(run.archiver.bucket, live)
        without = [record for record in live if record.location in missing]
        archive_record.advance_all(run.archiver.databases.master, without, State.EXTRACTING)


def _one_at_a_time(run: _Run, tenant_ids: Iterable[Key]) -> None:
    """Archive tenants one by one, which also finishes deletions interrupted between shard and master."""
    if tenants := [run.tenants[tenant_id] for tenant_id in tenant_ids]:
        run.results.outcomes.extend(archive(run.archiver, tenants, run.request, run.results.on_result))
