"""Past months' activity out of the live shards: extract, pack, store, verify, delete, shard by shard."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from archiver.catalog.activity_rules import Rules, rules
from archiver.catalog.model import MASTER
from archiver.completeness import completeness
from archiver.delete import batches
from archiver.delete.settle_month import settle
from archiver.delete.throttle import Throttle, lag
from archiver.extract.due import Due
from archiver.extract.month import NO_TENANT, extract_month, no_tenant
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.spool_folder import work_folder
from archiver.postgres import tenants
from archiver.postgres.databases import Placement
from archiver.postgres.session import DatabaseError
from archiver.postgres.tenants import Exclude, Tenant
from archiver.records import month_record, move_record, slice_record
from archiver.records.cutoff import Span
from archiver.records.holds import on_hold
from archiver.records.month_record import Month
from archiver.records.slice_record import Slice
from archiver.runs import month_object
from archiver.runs.context import Archiver, new_extraction
from archiver.runs.month_object import PackedSlice
from archiver.runs.month_result import Shard
from archiver.store.bucket import file_digests
from errors import CutoverError, LockedError, RefusedError, UnknownError

ROWS, SLICES = 200_000, 500  # of one archive, about: so much is proved and deleted before the next is begun
OnShard = Callable[[Shard], None]


@dataclass(frozen=True, kw_only=True)
class _Run:
    """What all functions of a run need."""

    archiver: Archiver
    rules: Rules
    span: Span
    throttle: Throttle
    pretend: bool


def archive_activity(
    archiver: Archiver, span: Span, throttle: Throttle, on_result: OnShard, *, pretend: bool = False
) -> list[Shard]:
    """Archives what ended in the span, shard by shard; a shard that fails is reported, the others go on.

    Raises UsageError, with nothing touched, where the catalog has no activity or does not know all that can point at
    rows. `tell` hears of each shard as it ends. What is left when the run is to stop is taken by the next run.
    """
    run = _Run(archiver=archiver, rules=rules(archiver.model), span=span, throttle=throttle, pretend=pretend)
    completeness.prove_complete(archiver.databases)
    names, shards = archiver.databases.shards if archiver.model.tenant.shard else (MASTER,), []
    if throttle.max_lag is not None:
        for name in names:
            lag(archiver.databases.session(name))  # whether it can be seen at all
    for name in names:
        if throttle.over:
            break
        shards.append(_shard(run, name))
        on_result(shards[-1])
    return shards


def _shard(run: _Run, name: str) -> Shard:
    began, shard = time.monotonic(), Shard(name=name)
    try:
        with run.archiver.databases.monthly_lock(name):
            site = run.archiver.databases.placement(name)
            if not run.pretend:
                settle(run.archiver.databases, run.rules, site)
            _all_of_it(run, site, shard)
    except UnknownError:
        raise
    except CutoverError as error:
        run.archiver.databases.forget_schemas()  # a migration may be what went wrong
        shard.errors.append(error)
    shard.seconds, shard.stopped = time.monotonic() - began, run.throttle.over
    return shard


def _all_of_it(run: _Run, placement: Placement, shard: Shard) -> None:
    """One archive after the other, until no tenant has a row that is due."""
    act, waiting = _pretend if run.pretend else _archive, iter(_wanted(run, placement, shard))
    run.throttle.wait(placement.sessions[run.rules.database])
    while not run.throttle.over:
        with work_folder(run.archiver.work) as work:
            packed = list(_some(run, placement, shard, waiting, work))
            if not packed or run.throttle.over:
                return
            act(run, placement, shard, packed, work)


def _wanted(run: _Run, placement: Placement, shard: Shard) -> list[Tenant]:
    """Who lives there and is not left alone; nobody's rows come last, when most of the others' have gone."""
    alone, everybody = (
        on_hold(placement.master),
        tenants.all_but(placement.master, run.archiver.model.tenant, Exclude()),
    )
    here = [tenant for tenant in everybody if tenant.shard == shard.name]
    half_moved = {move.tenant_id for move in move_record.half_moved(placement.master)}
    wanted = [tenant for tenant in here if tenant.id not in alone and tenant.id not in half_moved]
    shard.on_hold = len(here) - len(wanted)
    return [*wanted, no_tenant(placement)]


def _some(
    run: _Run, placement: Placement, shard: Shard, waiting: Iterator[Tenant], work: Path
) -> Iterator[PackedSlice]:
    """The slices of one archive: of tenants in turn, until their rows are enough."""
    rows = number = 0
    for tenant in waiting:
        folder = work / f"slice-{tenant.id}"
        folder.mkdir()
        try:
            found, extracted = extract_month(placement, run.rules, tenant, run.span, folder)
        except CutoverError as error:
            if tenant.id != NO_TENANT or (isinstance(error, DatabaseError) and error.lost):
                raise
            shard.errors.append(error)
            continue
        shard.held_back.update(found.held_back)
        if extracted:
            yield month_object.pack(run.archiver, extracted, folder)
            rows, number = rows + found.total, number + 1
        if rows >= ROWS or number >= SLICES or run.throttle.over:
            return


def _pretend(run: _Run, placement: Placement, shard: Shard, packed: Sequence[PackedSlice], work: Path) -> None:
    """Verifies from the local files, and counts what would go."""
    with month_object.opened([one.path for one in packed], run.archiver) as archives:
        month_object.prove(archives, run.archiver, run.rules)
    for one in packed:
        shard.count(one.extract.tenant.id, one.rows, {})
    shard.archives, shard.size = shard.archives + 1, shard.size + sum(one.digests.size for one in packed)


def _archive(run: _Run, placement: Placement, shard: Shard, packed: Sequence[PackedSlice], work: Path) -> None:
    """The same list as a school's: store, fetch what was stored, verify, delete, record."""
    month, places = _store(run, placement, packed, work)
    paths = month_object.fetch_all(run.archiver, month, places, work)
    with month_object.opened(paths, run.archiver) as archives:
        month = month_record.verified(placement.master, month, month_object.prove(archives, run.archiver, run.rules))
        month = month_record.deleting(placement.master, month)
        for place, archive, own in zip(places, archives, packed, strict=True):
            if not run.throttle.over:
                _delete(run, placement, shard, place, own.extract.due, archive)
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
    digests = file_digests(path)
    archiver.bucket.put(key, path, digests)
    archiver.schemas.keep([schema], work)
    path.unlink()
    places = [one.slice_of(record, start) for one, start in zip(packed, starts, strict=True)]
    return slice_record.stored(placement.master, record, digests, places), places


def _delete(run: _Run, placement: Placement, shard: Shard, one: Slice, found: Due, archive: Archive) -> None:
    """Deletes a slice's rows while nobody else is at the tenant; where somebody is, they stay for the next run."""
    month_object.belongs_to(archive, one)
    try:
        with run.archiver.databases.tenant_lock(run.archiver.model.tenant.noun, one.tenant_id, placement.shard):
            if _still_there(run, placement, one) and slice_record.is_pending(placement.master, one):
                _reclaim(run, placement, shard, one, found, archive)
    except LockedError as error:
        shard.errors.append(error)


def _still_there(run: _Run, placement: Placement, one: Slice) -> bool:
    """Whether the tenant still lives on the shard, and is not left alone."""
    live = tenants.tenant(placement.master, run.archiver.model.tenant, one.tenant_id)
    alone = one.tenant_id in on_hold(placement.master) or move_record.half_moved(placement.master, [one.tenant_id])
    return not alone and (live is None or live.shard == placement.shard)


def _reclaim(run: _Run, placement: Placement, shard: Shard, one: Slice, found: Due, archive: Archive) -> None:
    progress = batches.SliceProgress()
    try:
        batches.delete_in_batches(placement, run.rules, one, found, archive, run.throttle, progress)
    except DatabaseError as error:
        if error.lost:
            raise
        shard.errors.append(error)
    except RefusedError:
        batches.close(placement, run.rules, one)
        raise
    batches.close(placement, run.rules, one)
    shard.count(one.tenant_id, progress.deleted, {name: len(keys) for name, keys in progress.stayed.items()})
    shard.appeared.update(progress.appeared)
