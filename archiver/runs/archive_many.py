"""Many tenants out of the live databases in sets: shard by shard to verified archives, then all their rows away."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Any

from archiver.catalog.model import MASTER
from archiver.completeness import completeness
from archiver.completeness.live import sizes
from archiver.delete import many, record_states
from archiver.delete.many import BulkDeletion, BulkWork, OnStrategy
from archiver.delete.one import DELETED, Deletion
from archiver.format.spool_folder import work_folder
from archiver.postgres.databases import Databases
from archiver.postgres.session import DatabaseError
from archiver.postgres.tenants import Tenant
from archiver.records import archive_record, log_and_markers
from archiver.records.archive_record import ArchiveRequest, ArchiveState, Record
from archiver.records.resumable import interrupted_deletion
from archiver.runs.archive import archive
from archiver.runs.context import ArchiveOutcome, Archiver, OnArchived, opened
from archiver.runs.engines import IN_TURN, Engine
from archiver.runs.eta import Eta
from archiver.runs.progress import OnProgress, expected, reporting_progress
from archiver.runs.units import split
from errors import CutoverError, UnknownError
from formatting import plural
from inventory.model import Depth

FEW = 100_000  # rows that a pass reads in the time which one tenant takes by itself (docs/decisions.md)


@dataclass
class _Run:
    """One run over many: what it has, and whom it has told of."""

    archiver: Archiver
    request: ArchiveRequest
    on_result: OnArchived
    on_strategy: OnStrategy
    engine: Engine
    tenants: Mapping[int, Tenant]
    began: float = field(default_factory=time.monotonic)
    outcomes: list[ArchiveOutcome] = field(default_factory=list)

    @property
    def noun(self) -> str:
        """What a tenant is called."""
        return self.archiver.model.tenant.noun

    def end(self, outcome: ArchiveOutcome) -> None:
        """Tells what became of a tenant."""
        self.outcomes.append(outcome)
        self.on_result(outcome)

    def fail(self, tenant_id: int, error: CutoverError) -> None:
        """Leaves a tenant alone."""
        self.end(ArchiveOutcome(tenant_id=tenant_id, seconds=time.monotonic() - self.began, error=error))

    @contextmanager
    def skip_on_error(self, tenant_id: int) -> Iterator[None]:
        """Where the block fails, this tenant is left as it is, and the others go on."""
        try:
            yield
        except CutoverError as error:
            self.fail(tenant_id, error)


def archive_many(
    archiver: Archiver,
    tenants: Sequence[Tenant],
    request: ArchiveRequest,
    on_result: OnArchived,
    on_strategy: OnStrategy = lambda told: None,
    engine: Engine = IN_TURN,
    progress: OnProgress = lambda done: None,
) -> list[ArchiveOutcome]:
    """Archives tenants in sets; one that fails is left as it was and reported, the others go on.

    The same promises as `archive` keeps for one, and the same errors; the caller holds the locks of all databases. A
    model whose rows can't be deleted in sets, and a tenant that an earlier run left half-way by itself, go one by one.
    """
    archiver.model.rule(request.depth)
    completeness.prove_complete(archiver.databases)
    run = _Run(
        archiver=archiver,
        request=request,
        on_result=on_result,
        on_strategy=on_strategy,
        engine=engine,
        tenants={one.id: one for one in tenants},
    )
    if not tenants:
        return []
    if reason := _one_by_one(archiver, tenants, request):
        on_strategy(f"one by one: {reason}")
        return archive(archiver, tenants, request, on_result)
    half_way, fresh = _sorted_out(run, tenants)
    pace = Eta(rows=expected(archiver.databases, tenants), workers=engine.workers)
    if request.until is not None:
        run.request = replace(request, until=request.until - pace.deletion_time)
    with reporting_progress(archiver.databases, tenants, request, pace, progress):
        _prepare(run, fresh)
        if not request.pretend:
            _reclaim(run, half_way, fresh)
    return run.outcomes


def deletes_in_bulk(databases: Databases, depth: Depth = Depth.ALL) -> bool:
    """Whether the catalog lets a run over many delete in sets."""
    placement = databases.placement(databases.shards[0]) if databases.shards else databases.placement(MASTER)
    return many.reason_not_bulk(databases.model, placement, depth) is None


def _one_by_one(archiver: Archiver, tenants: Sequence[Tenant], request: ArchiveRequest) -> str | None:
    """Why tenants are archived one by one, if so."""
    noun, shards = archiver.model.tenant.noun, sorted({tenant.shard for tenant in tenants})
    if archiver.fence and not request.night and not request.pretend:
        return f"the fence closes for one {noun} at a time"
    rows = sum(
        size.rows or 0 for shard in {MASTER, *shards} for size in sizes(archiver.databases.session(shard)).values()
    )
    if len(tenants) * FEW < rows:
        return f"for {len(tenants)} {plural(noun)} a pass over about {rows:,} rows does not pay"
    return many.reason_not_bulk(archiver.model, archiver.databases.placement(shards[0]), request.depth)


def _sorted_out(run: _Run, tenants: Sequence[Tenant]) -> tuple[list[Record], list[Tenant]]:
    """The deletions that an earlier run left half-way, and the tenants of which nothing stands in the way."""
    master, earlier = run.archiver.databases.master, defaultdict(list)
    for record in archive_record.of_tenants(master, [tenant.id for tenant in tenants]):
        earlier[record.tenant_id].append(record)
    deleting: list[Record] = []
    fresh: list[Tenant] = []
    for tenant in tenants:
        with run.skip_on_error(tenant.id):
            half_way = interrupted_deletion(run.noun, tenant, earlier[tenant.id], run.request)
            if half_way is None:
                fresh.append(tenant)
            else:
                deleting.append(half_way)
    noted = _noted(run, deleting)
    untouched = [record for record in deleting if record.tenant_id not in noted]
    record_states.step_back(master, untouched)
    begun = [record for record in deleting if record.tenant_id in noted]
    return begun, [*fresh, *(run.tenants[record.tenant_id] for record in untouched)]


def _noted(run: _Run, wanted: Iterable[Record]) -> dict[int, dict[str, Any]]:
    """What the shards' markers say of deletions, by tenant."""
    noted: dict[int, dict[str, Any]] = {}
    if run.archiver.model.tenant.shard is not None:
        for shard, group in _by_shard(wanted):
            noted |= log_and_markers.marked_of(run.archiver.databases.session(shard), group, DELETED)
    return noted


def _prepare(run: _Run, fresh: Sequence[Tenant]) -> None:
    """From rows to verified archives, unit by unit; where a unit itself fails, what it did not verify is left alone."""
    before = _verified(run, fresh)
    wanted = [tenant for tenant in fresh if tenant.id not in before]
    for ended in run.engine.run(split(wanted, run.request, run.engine.workers), run.archiver):
        verified = _verified(run, [run.tenants[one] for one in ended.unit.tenant_ids])
        told = {outcome.tenant_id for outcome in ended.outcomes}
        for outcome in ended.outcomes:
            if outcome.error or run.request.pretend:
                run.end(outcome)
        for tenant_id in ended.unit.tenant_ids:
            if ended.error and tenant_id not in verified | told:
                run.fail(tenant_id, ended.error)


def _verified(run: _Run, tenants: Sequence[Tenant]) -> set[int]:
    if run.request.pretend:
        return set()
    found = record_states.ready(run.archiver.databases.master, [tenant.id for tenant in tenants], run.request)
    return {record.tenant_id for record in found}


def _reclaim(run: _Run, half_way: Sequence[Record], fresh: Sequence[Tenant]) -> None:
    """Every shard, then master; what can't be done in a set is done one by one."""
    archiver, ids = run.archiver, [tenant.id for tenant in fresh]
    wanted = record_states.ready(archiver.databases.master, ids, run.request)
    with work_folder(archiver.work) as folder:
        work = BulkWork(
            databases=archiver.databases,
            depth=run.request.depth,
            folder=folder,
            stored=partial(opened, archiver, folder),
            on_strategy=run.on_strategy,
        )
        if archiver.model.tenant.shard is None:
            record_states.move(archiver.databases.master, wanted, ArchiveState.DELETING)
        else:
            _empty_shards(run, work, wanted)
        _empty_master(run, work, [*half_way, *wanted])


def _empty_shards(run: _Run, work: BulkWork, wanted: Sequence[Record]) -> None:
    """Several shards at once; each on the connection that holds its lock, so that nobody deletes who lost that."""
    databases = run.archiver.databases
    record_states.move(databases.master, wanted, ArchiveState.DELETING)
    with ThreadPoolExecutor(run.engine.workers) as pool:
        ways = [
            (group, pool.submit(many.empty_shard, work, databases.placement(shard), group))
            for shard, group in _by_shard(wanted)
        ]
    # Only now: who goes alone looks into every shard, on connections that were in the midst of a deletion.
    for group, way in ways:
        _settle_shard(run, group, way)


def _settle_shard(run: _Run, wanted: Sequence[Record], way: Future[dict[int, CutoverError]]) -> None:
    try:
        failed = way.result()
    except CutoverError as error:
        _not_as_a_set(run, wanted, error)
        return
    # Their archives are not what is live: the next run makes new ones.
    left_alone = [record for record in wanted if record.tenant_id in failed]
    record_states.move(run.archiver.databases.master, left_alone, ArchiveState.STORED)
    for tenant_id, reason in failed.items():
        run.fail(tenant_id, reason)


def _empty_master(run: _Run, work: BulkWork, wanted: Sequence[Record]) -> None:
    noted = _noted(run, wanted)
    sharded = run.archiver.model.tenant.shard is not None
    rest = [record for record in wanted if record.tenant_id in noted or not sharded]
    for depth, group in groupby(sorted(rest, key=lambda record: record.depth.value), attrgetter("depth")):
        _end(run, replace(work, depth=depth), list(group), noted)


def _end(run: _Run, work: BulkWork, wanted: Sequence[Record], noted: Mapping[int, Mapping[str, Any]]) -> None:
    try:
        gone = many.empty_master(work, wanted, {record.tenant_id: noted.get(record.tenant_id, {}) for record in wanted})
    except CutoverError as error:
        _not_as_a_set(run, wanted, error)
        return
    for record in archive_record.of_ids(run.archiver.databases.master, [record.id for record in wanted]):
        if record.tenant_id in gone.deleted:
            run.end(_outcome(run, record, gone))
    _each_alone(run, gone.failed)


def _outcome(run: _Run, record: Record, gone: BulkDeletion) -> ArchiveOutcome:
    deleted, kept = gone.deleted[record.tenant_id], gone.kept[record.tenant_id]
    return ArchiveOutcome(
        tenant_id=record.tenant_id,
        seconds=(time.monotonic() - run.began) / len(run.tenants),
        rows=record.rows,
        size=record.size or 0,
        deletion=Deletion(record=record, deleted=deleted, kept=kept, appeared={}),
    )


def _not_as_a_set(run: _Run, wanted: Sequence[Record], error: CutoverError) -> None:
    """What somebody's row forbids for all, each may do alone; what may pass is left for the next run."""
    passing = isinstance(error, DatabaseError) and error.passing
    if passing or isinstance(error, UnknownError):
        _step_back(run, wanted)
        for record in wanted:
            run.fail(record.tenant_id, error)
        return
    run.on_strategy(f"one by one: {error}")
    _each_alone(run, [record.tenant_id for record in wanted])


def _step_back(run: _Run, wanted: Sequence[Record]) -> None:
    """Where nothing was committed, tenants are live as before; where that can't be seen, the next run settles it."""
    with suppress(CutoverError):
        noted = _noted(run, wanted)
        record_states.step_back(run.archiver.databases.master, [one for one in wanted if one.tenant_id not in noted])


def _each_alone(run: _Run, tenant_ids: Iterable[int]) -> None:
    """Ends what was begun, tenant by tenant: a deletion that was cut off between shard and master as well."""
    run.outcomes += archive(run.archiver, [run.tenants[one] for one in tenant_ids], run.request, run.on_result)


def _by_shard(wanted: Iterable[Record]) -> Iterator[tuple[str, list[Record]]]:
    for shard, group in groupby(sorted(wanted, key=attrgetter("shard", "tenant_id")), attrgetter("shard")):
        yield shard, list(group)
