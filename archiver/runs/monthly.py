"""Archive past months' activity: extract, pack, store, verify, delete, shard by shard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import takewhile
from pathlib import Path

from archiver.catalog.activity_rules import Rules, rules
from archiver.catalog.model import MASTER
from archiver.completeness import completeness
from archiver.delete import batches
from archiver.delete.settle_month import settle
from archiver.delete.throttle import Throttle, lag
from archiver.extract.due import Due
from archiver.extract.month import NO_TENANT, MonthExtract, extract_month, no_tenant
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.spool_folder import work_folder
from archiver.postgres import tenants
from archiver.postgres.databases import Placement
from archiver.postgres.session import DatabaseError
from archiver.postgres.tenants import Tenant
from archiver.records import guards, month_record, move_record, slice_record
from archiver.records.cutoff import Span
from archiver.records.holds import on_hold
from archiver.records.month_record import Month
from archiver.records.slice_record import Slice
from archiver.runs import month_object
from archiver.runs.context import Archiver, new_extraction
from archiver.runs.each import Done, Outcome, connection_lost, for_each
from archiver.runs.month_object import PackedSlice
from archiver.runs.month_result import ShardMonths
from archiver.runs.progress import OnProgress, Progress, remaining
from archiver.runs.settle import settle as settle_markers
from archiver.store.bucket import file_digests
from archiver.verify.makeable import prove_makeable
from errors import CutoverError, LockedError, RefusedError, UnknownError
from formatting import plural

ROWS, SLICES = 200_000, 500  # about the size of one archive: it is verified and deleted before the next is begun
MonthsOutcome = Outcome[ShardMonths, None]
OnShard = Callable[[MonthsOutcome], None]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """The settings of a run."""

    archiver: Archiver
    rules: Rules
    span: Span
    throttle: Throttle
    pretend: bool
    shards: list[ShardMonths]
    tenants: int  # of all shards
    on_progress: OnProgress
    began: float = field(default_factory=time.monotonic)

    @property
    def progress(self) -> Progress:
        """The progress over all shards; rows of no tenant come last in each."""
        elapsed = timedelta(seconds=time.monotonic() - self.began)
        passed, skipped = sum(shard.passed for shard in self.shards), sum(shard.on_hold for shard in self.shards)
        return Progress(
            what=plural(self.archiver.model.tenant.noun),
            done=passed,
            total=self.tenants,
            rows=sum(shard.deleted.total() for shard in self.shards),
            size=sum(shard.size for shard in self.shards),
            elapsed=elapsed,
            left=remaining(elapsed, passed - skipped, self.tenants - skipped),
        )


def archive_activity(
    archiver: Archiver,
    span: Span,
    throttle: Throttle,
    on_result: OnShard,
    on_progress: OnProgress = lambda progress: None,
    *,
    pretend: bool = False,
) -> list[MonthsOutcome]:
    """Archive what ended in the span, shard by shard. A shard that fails is reported; the others continue.

    Raises UsageError, with nothing changed, if the catalog has no activity or does not cover everything that can
    reference its rows. `on_result` is called with each outcome. The next run continues where this one stops.
    """
    activity = rules(archiver.model)
    completeness.prove_complete(archiver.databases)
    prove_makeable(archiver.databases, archiver.scratch)
    names = shards_of(archiver)
    if throttle.max_lag is not None:
        for name in names:
            lag(archiver.databases.session(name))  # raises if it can't be read
    run = _Run(
        archiver=archiver,
        rules=activity,
        span=span,
        throttle=throttle,
        pretend=pretend,
        shards=[ShardMonths(name=name) for name in names],
        tenants=len(tenants.every(archiver.databases.master, archiver.model.tenant)),
        on_progress=on_progress,
    )
    return for_each(
        takewhile(lambda shard: not throttle.over, run.shards),
        lambda shard: _shard(run, shard),
        on_result,
        databases=archiver.databases,
        stops=lambda error: isinstance(error, UnknownError),
    )


def shards_of(archiver: Archiver) -> tuple[str, ...]:
    """Return the databases with activity, by their inventory names: master, if there are no shards."""
    return archiver.databases.shards if archiver.model.tenant.shard else (MASTER,)


def _shard(run: _Run, shard: ShardMonths) -> Done[None]:
    databases, name = run.archiver.databases, shard.name
    try:
        with databases.monthly_lock(name):
            placement = databases.placement(name)
            settle_markers(run.archiver, [name], pretend=run.pretend)
            if not run.pretend:
                settle(databases, run.rules, placement)
                guards.note(databases, [name])
            _archive_shard(run, placement, shard)
    finally:
        shard.stopped = run.throttle.over
    return shard.done


def _archive_shard(run: _Run, placement: Placement, shard: ShardMonths) -> None:
    """Make one archive after the other, until no tenant has due rows."""
    act, waiting = _pretend if run.pretend else _archive, iter(_tenants_due(run, placement, shard))
    run.throttle.wait(placement.sessions[run.rules.database])
    run.on_progress(run.progress)
    while not run.throttle.over:
        with work_folder(run.archiver.work) as work:
            packed = list(_next_slices(run, placement, shard, waiting, work))
            if not packed or run.throttle.over:
                return
            act(run, placement, shard, packed, work)
        run.on_progress(run.progress)


def _tenants_due(run: _Run, placement: Placement, shard: ShardMonths) -> list[Tenant]:
    """Return the shard's tenants that are not skipped, then NO_TENANT, whose rows come last: fewer are left by then."""
    ids_on_hold = on_hold(placement.master)
    all_tenants = tenants.every(placement.master, run.archiver.model.tenant)
    residents = [tenant for tenant in all_tenants if tenant.shard == shard.name]
    half_moved = {move.tenant_id for move in move_record.half_moved(placement.master)}
    due = [tenant for tenant in residents if tenant.id not in ids_on_hold and tenant.id not in half_moved]
    shard.on_hold = shard.passed = len(residents) - len(due)
    return [*due, no_tenant(placement)]


def _next_slices(
    run: _Run, placement: Placement, shard: ShardMonths, waiting: Iterator[Tenant], work: Path
) -> Iterator[PackedSlice]:
    """Yield the slices of one archive, tenant by tenant, until it is large enough."""
    rows = number = 0
    for tenant in waiting:
        folder = work / f"slice-{layout.path_part(tenant.id)}"
        folder.mkdir()
        shard.passed += tenant.id != NO_TENANT
        if extracted := _extracted(run, placement, shard, tenant, folder):
            yield month_object.pack(run.archiver, extracted, folder)
            rows, number = rows + extracted.due.total, number + 1
        if rows >= ROWS or number >= SLICES or run.throttle.over:
            return


def _extracted(
    run: _Run, placement: Placement, shard: ShardMonths, tenant: Tenant, folder: Path
) -> MonthExtract | None:
    """Extract a tenant's due rows, if there are any; rows of no tenant may fail on their own."""
    try:
        due, extracted = extract_month(placement, run.rules, tenant, run.span, folder)
    except CutoverError as error:
        if tenant.id != NO_TENANT or connection_lost(error):
            raise
        shard.errors.append(error)
        return None
    shard.held_back.update(due.held_back)
    return extracted


def _pretend(run: _Run, placement: Placement, shard: ShardMonths, packed: Sequence[PackedSlice], work: Path) -> None:
    """Verify from the local files, and count the rows to delete."""
    with month_object.opened([each.path for each in packed], run.archiver) as archives:
        month_object.prove(archives, run.archiver, run.rules)
    for each in packed:
        shard.count(each.extract.tenant.id, each.rows, {})
    shard.archives, shard.size = shard.archives + 1, shard.size + sum(each.digests.size for each in packed)


def _archive(run: _Run, placement: Placement, shard: ShardMonths, packed: Sequence[PackedSlice], work: Path) -> None:
    """Store the slices, fetch them back, verify, delete and record."""
    month, slices = _store(run, placement, packed, work)
    paths = month_object.fetch_all(run.archiver, month, slices, work)
    with month_object.opened(paths, run.archiver) as archives:
        month = month_record.verified(placement.master, month, month_object.prove(archives, run.archiver, run.rules))
        month = month_record.deleting(placement.master, month)
        for month_slice, archive, packed_slice in zip(slices, archives, packed, strict=True):
            if not run.throttle.over:
                _delete(run, placement, shard, month_slice, packed_slice.extract.due, archive)
    month_record.archived(placement.master, month)
    shard.archives, shard.size = shard.archives + 1, shard.size + (month.size or 0)


def _store(run: _Run, placement: Placement, packed: Sequence[PackedSlice], work: Path) -> tuple[Month, list[Slice]]:
    archiver, month = run.archiver, str(run.span.month)
    key = layout.month_key(month, placement.shard, new_extraction())
    schema = placement.schemas[run.rules.database]
    record = month_record.start(
        placement.master,
        run.span,
        placement.shard,
        archiver.bucket.location(key),
        schema.fingerprint,
        archiver.keys.recipients,
    )
    path = work / key.rsplit("/", 1)[-1]
    starts = month_object.join(packed, path, month_object.readme(archiver.model.tenant.noun, month, placement.shard))
    digests = archiver.bucket.put(key, path, file_digests(path))
    archiver.schemas.put([schema], work)
    path.unlink()
    slices = [each.slice_of(record, start) for each, start in zip(packed, starts, strict=True)]
    stored = slice_record.stored(placement.master, record, digests, slices)
    return stored, [replace(each, month=stored) for each in slices]


def _delete(
    run: _Run, placement: Placement, shard: ShardMonths, month_slice: Slice, due: Due, archive: Archive
) -> None:
    """Delete a slice's rows under the tenant's lock; if another run holds it, they stay for the next run."""
    month_object.belongs_to(archive, month_slice)
    try:
        with run.archiver.databases.tenant_lock(month_slice.tenant_id, placement.shard):
            if _still_on_shard(run, placement, month_slice) and slice_record.is_pending(placement.master, month_slice):
                _delete_rows(run, placement, shard, month_slice, due, archive)
    except LockedError as error:
        shard.errors.append(error)


def _still_on_shard(run: _Run, placement: Placement, month_slice: Slice) -> bool:
    """True if the tenant is still on the shard, not on hold and not partly moved."""
    if month_slice.tenant_id == NO_TENANT:
        return True
    live = tenants.tenant(placement.master, run.archiver.model.tenant, month_slice.tenant_id)
    excluded = month_slice.tenant_id in on_hold(placement.master) or move_record.half_moved(
        placement.master, [month_slice.tenant_id]
    )
    return not excluded and (live is None or live.shard == placement.shard)


def _delete_rows(
    run: _Run, placement: Placement, shard: ShardMonths, month_slice: Slice, due: Due, archive: Archive
) -> None:
    progress = batches.SliceProgress()
    try:
        batches.delete_in_batches(
            placement, run.rules, month_slice, due, archive, run.throttle, progress, run.archiver.bucket
        )
    except DatabaseError as error:
        if error.lost:
            raise
        shard.errors.append(error)
    except RefusedError:
        batches.close(placement, run.rules, month_slice)
        raise
    batches.close(placement, run.rules, month_slice)
    shard.count(month_slice.tenant_id, progress.deleted, {name: len(keys) for name, keys in progress.stayed.items()})
    shard.appeared.update(progress.appeared)
