"""The way back: a set of archived tenants, each into its shard, then into master together with the record's end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import MASTER, SHARD, Model, Part
from archiver.delete.settle_month import settle_tenant
from archiver.format import encryption
from archiver.format.bundle import Archive, opened
from archiver.format.spool_folder import work_folder
from archiver.load import subset
from archiver.load.fit import fitting, mapped
from archiver.load.load import IncomingArchive, LiveNeighbors, Loaded, load_database
from archiver.load.relocate import relocated
from archiver.postgres import tenants
from archiver.postgres.databases import Placement
from archiver.postgres.session import Session
from archiver.postgres.triggers import triggers_disabled
from archiver.records import archive_record, id_index, log_and_markers, move_record, retained_rows, slice_record
from archiver.records.archive_record import ArchiveState, Record
from archiver.records.placement import Relocations, ends_in, relocations_of, shard_of
from archiver.records.slice_record import Slice
from archiver.runs import monthly_slices as activity
from archiver.runs.context import Archiver, fetch
from archiver.runs.monthly_slices import IncomingSlice
from archiver.runs.restore_plan import refuse_by_rows
from archiver.verify.verify import belongs_to, verify
from errors import CutoverError, RefusedError
from inventory.migrations import Changes

LOADED = "restored"  # the marker's act; of a part: `restored classroom 42`


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What became of one tenant."""

    record: Record
    seconds: float
    tables: Mapping[str, Loaded]  # pretended: what would be loaded
    only: Part | None = None  # none: all of it
    error: CutoverError | None = None


OnRestored = Callable[[Restored], None]


def restore(
    archiver: Archiver,
    wanted: Iterable[Record],
    *,
    pretend: bool,
    on_result: OnRestored,
    mapping: Changes | None = None,
    only: Part | None = None,
) -> list[Restored]:
    """Brings tenants back, or a part of each; one that fails stays archived and is reported, the others go on.

    Raises UsageError, with nothing touched, where an archive is encrypted and no identity was given.
    The caller holds the locks. `tell` hears of each tenant as it ends. `last` is mapped after all migrations.
    """
    wanted = list(wanted)
    encryption.refuse_if_closed((record.location for record in wanted), archiver.keys)
    act = _pretend if pretend else _restore
    outcomes = []
    for record in wanted:
        outcomes.append(_attempt(partial(act, archiver, record, mapping, only), record, only, archiver.work))
        on_result(outcomes[-1])
    return outcomes


def _attempt(act: Callable[[Path], dict[str, Loaded]], record: Record, only: Part | None, home: Path) -> Restored:
    began = time.monotonic()
    try:
        with work_folder(home) as work:
            tables = act(work)
        return Restored(record=record, seconds=time.monotonic() - began, tables=tables, only=only)
    except CutoverError as error:
        return Restored(record=record, seconds=time.monotonic() - began, tables={}, only=only, error=error)


def _pretend(
    archiver: Archiver, record: Record, last: Changes | None, only: Part | None, work: Path
) -> dict[str, Loaded]:
    """Fetches and verifies, and says what would be loaded."""
    path, site = (
        fetch(archiver.bucket, record, work),
        archiver.databases.placement(shard_of(archiver.databases, record)),
    )
    with opened(path, archiver.keys) as whole:
        verify(whole, record.tenant_id, record.year, archiver.scratch, archiver.model)
        with (
            subset.subset_of(whole, archiver.model, mapped(site, whole.manifest, last), only, work) as archive,
            activity.opened(archiver, site, _months(archiver, site, record, only), work, last, record) as coming,
        ):
            return activity.rows_to_load([archive, *(each.incoming.archive for each in coming)])


def _restore(
    archiver: Archiver, record: Record, last: Changes | None, only: Part | None, work: Path
) -> dict[str, Loaded]:
    """The mission's numbered list: fetch, verify, load the shard, then master, the record's end and the log."""
    record = _still_archived(archiver, record)
    hops = relocations_of(archiver.databases, record)
    site = archiver.databases.placement(ends_in(record.shard, hops))
    try:
        if archiver.model.catalog.activity:
            settle_tenant(archiver.databases, Rules(model=archiver.model), record.tenant_id)
        path = fetch(archiver.bucket, record, work)
        with opened(path, archiver.keys) as whole:
            belongs_to(whole, record.tenant_id, record.year)
            mappings = relocated(fitting(site, whole, last), archiver.model, site.schemas, hops)
            with (
                subset.subset_of(whole, archiver.model, mappings, only, work) as archive,
                activity.opened(archiver, site, _months(archiver, site, record, only), work, last, record) as coming,
            ):
                incoming = IncomingArchive(placement=site, model=archiver.model, archive=archive, mappings=mappings)
                return _bring_back(incoming, coming, _begin(site, record, only), only, hops)
    except CutoverError:
        _step_back(site, record)
        raise


def _months(archiver: Archiver, placement: Placement, record: Record, only: Part | None) -> tuple[Slice, ...]:
    """What went of the tenant month by month, the latest first, but for what lies below another of its archives; with a
    part of it nothing of that comes back."""
    if only or not archiver.model.catalog.activity:
        return ()
    every = archive_record.of_tenant(placement.master, record.tenant_id)
    return tuple(
        one
        for one in slice_record.of_tenant(placement.master, record.tenant_id)
        if (whole := activity.parent_archive(one, every)) is None or whole.id == record.id
    )


def _bring_back(
    incoming: IncomingArchive, coming: Sequence[IncomingSlice], record: Record, only: Part | None, hops: Relocations
) -> dict[str, Loaded]:
    try:
        return _load_both(incoming, coming, record, only, hops)
    except CutoverError as error:
        refuse_by_rows(incoming, error)
        raise


def _begin(placement: Placement, record: Record, only: Part | None) -> Record:
    """Writes that rows are coming back; a part must not lie over what is half back."""
    if only and (half := _pending(placement, record) - {_act(only)}):
        what = ", ".join(act.removeprefix(LOADED).strip() or "all" for act in sorted(half))
        raise RefusedError(
            f"Restoring {only} refused: a run that was cut off has brought back the shard's rows of {what}.",
            hint="End that first: the same command for it, or for the whole.",
        )
    if only in record.partial and placement.shard_session:
        log_and_markers.unmark(placement.shard_session, record, _act(only))  # it tells of another time
    return archive_record.restoring(placement.master, record)


def _step_back(placement: Placement, record: Record) -> None:
    """Where nothing was committed, the tenant is archived as before; where that can't be seen, a rerun settles it."""
    with suppress(CutoverError):
        if not _pending(placement, record):
            archive_record.step_back(
                placement.master, replace(record, state=ArchiveState.RESTORING), ArchiveState.ARCHIVED
            )


def _act(only: Part | None) -> str:
    """The marker's act."""
    return f"{LOADED} {only}" if only else LOADED


def _pending(placement: Placement, record: Record) -> set[str]:
    """What came back in the shard, and not in master: a run was cut off between the two."""
    done = {_act(only) for only in record.partial}
    return {act for act in log_and_markers.acts(placement.shard_session, record) if act.startswith(LOADED)} - done


def _still_archived(archiver: Archiver, record: Record) -> Record:
    """Reads the record again, now under the lock."""
    noun = archiver.model.tenant.noun
    move_record.refuse_half_moved(archiver.databases.master, noun, [record.tenant_id])
    for now in archive_record.of_tenant(archiver.databases.master, record.tenant_id, record.year):
        if now.state in (ArchiveState.ARCHIVED, ArchiveState.RESTORING):
            return now
    raise RefusedError(f"{noun.capitalize()} {record.tenant_id} is not archived for {record.year} any more.")


def _load_both(
    incoming: IncomingArchive, coming: Sequence[IncomingSlice], record: Record, only: Part | None, hops: Relocations
) -> dict[str, Loaded]:
    """Loads all databases before any commits; the shard goes first, with a marker by which a rerun skips it."""
    placement = incoming.placement
    with ExitStack() as transactions:
        for session in placement.sessions.values():
            transactions.enter_context(session.rolled_back())
        live = _neighbours(placement, incoming.model, record, only)
        with ExitStack() as triggers:
            for database, session in placement.sessions.items():
                triggers.enter_context(triggers_disabled(session, incoming.model, database))
            loaded = (
                _load_shard(incoming, coming, placement.shard_session, record, live, _act(only))
                if placement.shard_session
                else {}
            )
            loaded |= load_database(incoming, MASTER, live)
            if not placement.shard_session:
                loaded = activity.combined(loaded, activity.load(coming))
            for session in placement.sessions.values():
                session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")
        _end(placement.master, record, incoming.archive, loaded, only)
        _came_back(placement.master, record, hops)
        activity.end(placement.master, [each.slice for each in coming], record.tenant_id)
        what = f"{f'{only} of ' if only else ''}{incoming.model.tenant.noun} {record.tenant_id}"
        if placement.shard_session:
            placement.shard_session.commit(doing=f"restoring {what} in the shard")
        placement.master.commit(doing=f"restoring {what} in master")
    return loaded


def _counted(loaded: Mapping[str, Loaded]) -> dict[str, object]:
    """What the log keeps of a restore: rows by table, and what today's tables had no place for."""
    tables = {
        name: {what: rows for what, rows in asdict(table).items() if what != "lost"} for name, table in loaded.items()
    }
    lost = {f"{name}.{column}": rows for name, table in loaded.items() for column, rows in table.lost.items()}
    return {"tables": tables, "lost": lost}


def _end(master: Session, record: Record, archive: Archive, loaded: Mapping[str, Loaded], only: Part | None) -> None:
    """Writes what came back; the record ends, unless the rest is still only in the archive."""
    details = {**_counted(loaded), "sha256": record.sha256}
    if only is None:
        archive_record.delete(master, record)
        retained_rows.forget(master)
        log_and_markers.log(master, "restore", record, details)
    else:
        archive_record.part_restored(master, record, only)
        log_and_markers.forget_deleted(master, record, id_index.ids_in(archive))
        log_and_markers.log(master, "restore part", record, {"part": str(only), **details})


def _came_back(master: Session, record: Record, hops: Relocations) -> None:
    """Writes the ways that the tenant went with its archive, by which it can go back."""
    for hop in hops:
        if hop.alias:
            move_record.came_back(master, record, hop.source, hop.target, hop.offsets)


def _neighbours(placement: Placement, model: Model, record: Record, only: Part | None) -> LiveNeighbors:
    """What may be live already: rows of any table, where parts came back, or another archive of the tenant did."""
    tenant = tenants.unknown(placement.master, model.tenant, [record.tenant_id])
    parts = only or record.partial or _pending(placement, record)
    return LiveNeighbors(
        kept=record.kept,
        older=partial(retained_rows.from_older, placement.master, record),
        mapped=partial(retained_rows.follow, placement.master, record),
        everywhere=bool(parts) or (not tenant and str(model.root) not in record.kept),
    )


def _load_shard(
    incoming: IncomingArchive,
    coming: Sequence[IncomingSlice],
    shard: Session,
    record: Record,
    live: LiveNeighbors,
    act: str,
) -> dict[str, Loaded]:
    """Each archive that an earlier run loaded has its marker; one that the run did not know of has none."""
    marker = log_and_markers.marked(shard, record, act)
    if marker is None:
        loaded = load_database(incoming, SHARD, live)
        log_and_markers.mark(shard, record, act, {name: asdict(counts) for name, counts in loaded.items()})
    else:
        loaded = {name: Loaded(**counts) for name, counts in marker.items()}
    return activity.combined(loaded, activity.load(coming))
