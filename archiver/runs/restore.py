"""Restore archived tenants: each into its shard, then into master, where its record ends in the same transaction."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import MASTER, SHARD, Model, Part, TableName
from archiver.delete.settle_month import settle_tenant
from archiver.format import encryption
from archiver.format.bundle import Archive, opened
from archiver.format.spool_folder import work_folder
from archiver.load import subset
from archiver.load.fit import Mappings, fitting, mapped
from archiver.load.load import IncomingArchive, LiveNeighbors, Loaded, load_database
from archiver.load.obstacles import refused_by_rows
from archiver.load.proof import Proof, proven
from archiver.load.relocate import relocated
from archiver.postgres import tenants
from archiver.postgres.account import Account, all_accounted
from archiver.postgres.databases import Placement
from archiver.postgres.session import Session
from archiver.records import (
    archive_record,
    audit_log,
    deleted_keys,
    id_index,
    markers,
    move_record,
    resolve,
    retained_rows,
    shard_keys,
)
from archiver.records.archive_record import Record
from archiver.records.placement_history import Relocations, shard_of, shards_of
from archiver.records.retained_rows import RetainedRow
from archiver.records.settlement import Seen, Settlement, settlement
from archiver.records.slice_record import Slice
from archiver.records.state import Kind, State
from archiver.runs import monthly_slices as activity
from archiver.runs.context import Archiver, fetch
from archiver.runs.each import Done, Outcome, for_each
from archiver.runs.monthly_slices import IncomingSlice
from archiver.runs.returning import Returning, returning
from archiver.runs.settle import asking_markers, settle
from archiver.verify.verify import belongs_to, verify
from errors import CutoverError, RefusedError
from inventory.keys import Key, typed
from inventory.migrations import Changes

LOADED = "restored"  # the marker's act; of a part: `restored classroom 42`


Restored = Outcome[Record, Mapping[str, Loaded]]  # by table; pretended: rows to load
OnRestored = Callable[[Restored], None]


def record_to_restore(archiver: Archiver, tenant_id: Key, year: int | None) -> Record:
    """Return the tenant's record; raise UsageError if there is none, or several years and none is given.

    Raises RefusedError, which names the archives, if the record may be missing because master was set back.
    """
    with asking_markers(archiver):
        return resolve.one_to_restore(archiver.databases, tenant_id, year)


def restore(
    archiver: Archiver,
    records: Iterable[Record],
    *,
    pretend: bool,
    on_result: OnRestored,
    mapping: Changes | None = None,
    only: Part | None = None,
    without: Collection[str] = (),
) -> list[Restored]:
    """Restore tenants, or a part of each. One that fails stays archived and is reported; the others continue.

    `without` names months whose slices stay archived; Problems if one has none that comes back with a record.

    Raises UsageError, with nothing changed, if an archive is encrypted and no identity was given. The caller holds the
    locks. `on_result` is called with each outcome. `mapping` is applied after all migrations.
    """
    records = list(records)
    for record in records if without else ():
        returning(archiver.databases, record, without)  # a month of no slice is refused before anything begins
    encryption.refuse_if_closed((record.location for record in records), archiver.keys)
    shards = {record.shard for record in records} | {*shards_of(archiver.databases, records).values()}
    settle(archiver, shards, pretend=pretend)
    act = _pretend if pretend else _restore

    def restore_one(record: Record) -> Done[Mapping[str, Loaded]]:
        with work_folder(archiver.work) as work:
            return activity.done_loading(act(archiver, record, mapping, only, without, work), record.size or 0)

    return for_each(records, restore_one, on_result, databases=archiver.databases)


def _pretend(
    archiver: Archiver, record: Record, last: Changes | None, only: Part | None, without: Collection[str], work: Path
) -> dict[str, Loaded]:
    """Fetch and verify; return the rows to load, by table."""
    comes_back = returning(archiver.databases, record, without)
    path, placement = fetch(archiver.bucket, record, work), archiver.databases.placement(comes_back.shard)
    with opened(path, archiver.keys) as archived:
        verify(archived, record.tenant_id, record.year, archiver.scratch, archiver.model)
        mappings = mapped(placement, archived.manifest, last)
        with _incoming(archiver, comes_back, archived, mappings, only, work, last) as (incoming, incoming_slices):
            archives = [incoming.archive, *(each.incoming.archive for each in incoming_slices)]
            return activity.rows_to_load(archives)


def _restore(
    archiver: Archiver, record: Record, last: Changes | None, only: Part | None, without: Collection[str], work: Path
) -> dict[str, Loaded]:
    """Fetch, verify, load the shard, then master with the record's end and the log entry."""
    record = _still_archived(archiver, record)
    placement = archiver.databases.placement(shard_of(archiver.databases, record))
    try:
        if archiver.model.catalog.activity:
            settle_tenant(archiver.databases, Rules(model=archiver.model), record.tenant_id)
        comes_back = returning(archiver.databases, record, without)
        path = fetch(archiver.bucket, record, work)
        with opened(path, archiver.keys) as archived:
            belongs_to(archived, record.tenant_id, record.year)
            mappings = fitting(placement, archived, last)
            with _incoming(archiver, comes_back, archived, mappings, only, work, last) as (incoming, incoming_slices):
                return _bring_back(incoming, incoming_slices, _begin(placement, record, only), only, comes_back)
    except CutoverError:
        _step_back(placement, record)
        raise


@contextmanager
def _incoming(
    archiver: Archiver,
    comes_back: Returning,
    archived: Archive,
    mappings: Mappings,
    only: Part | None,
    work: Path,
    last: Changes | None,
) -> Iterator[tuple[IncomingArchive, list[IncomingSlice]]]:
    """Yield the archive and the months to load, complete or narrowed to a part; of a part only months with its rows."""
    placement, model = archiver.databases.placement(comes_back.shard), archiver.model
    moved = relocated(mappings, model, placement.schemas, comes_back.relocations)
    complete = IncomingArchive(placement=placement, model=model, archive=archived, mappings=moved)
    with activity.opened(archiver, placement, comes_back.months, work, last, comes_back.record) as months:
        every = [complete, *(each.incoming for each in months)]
        with subset.only_part(every, only, work) as (incoming, *of_months):
            narrowed = [replace(each, incoming=part) for each, part in zip(months, of_months, strict=True)]
            yield incoming, [each for each in narrowed if not only or each.incoming.archive.manifest.rows]


def _bring_back(
    incoming: IncomingArchive,
    incoming_slices: Sequence[IncomingSlice],
    record: Record,
    only: Part | None,
    comes_back: Returning,
) -> dict[str, Loaded]:
    with refused_by_rows(
        f"Restoring {incoming.model.tenant.noun} {record.tenant_id}",
        f"inv restore.plan {typed(record.tenant_id)} shows all of it; --mapping=FILE can change the archived rows.",
        [incoming, *(each.incoming for each in incoming_slices)],
    ):
        return _load_both(incoming, incoming_slices, record, only, comes_back)


def _begin(placement: Placement, record: Record, only: Part | None) -> Record:
    """Mark the record as restoring; raise RefusedError for a part if another restore was interrupted."""
    if only and (pending := _pending(placement, record) - {_act(only)}):
        what = ", ".join(act.removeprefix(LOADED).strip() or "all" for act in sorted(pending))
        raise RefusedError(
            f"Restoring {only} refused: an interrupted run has restored the shard's rows of {what}.",
            hint="Finish that first: run its command again, or restore everything.",
        )
    if only in record.partial and placement.shard_session:
        markers.delete(placement.shard_session, record, _act(only))  # of an earlier restore
    return archive_record.restoring(placement.master, record)


def _step_back(placement: Placement, record: Record) -> None:
    """Mark the tenant as archived if nothing was committed; if that can't be determined, a rerun settles it."""
    with suppress(CutoverError):
        trace = Seen.RESTORED if _pending(placement, record) else Seen.NOTHING
        if settlement(Kind.TENANT, State.RESTORING, trace) is Settlement.STEP_BACK:
            archive_record.step_back(placement.master, replace(record, state=State.RESTORING), State.ARCHIVED)


def _act(only: Part | None) -> str:
    """Return the marker's act."""
    return f"{LOADED} {only}" if only else LOADED


def _pending(placement: Placement, record: Record) -> set[str]:
    """Return the acts restored in the shard and not in master: a run was interrupted between the two."""
    done = {_act(only) for only in record.partial}
    return {act for act in markers.acts(placement.shard_session, record) if act.startswith(LOADED)} - done


def _still_archived(archiver: Archiver, record: Record) -> Record:
    """Return the record, read again under the lock; raise RefusedError unless it is still archived."""
    noun = archiver.model.tenant.noun
    move_record.refuse_half_moved(archiver.databases.master, noun, [record.tenant_id])
    for now in archive_record.of_tenant(archiver.databases.master, record.tenant_id, record.year):
        if now.state in (State.ARCHIVED, State.RESTORING):
            return now
    raise RefusedError(f"{noun.capitalize()} {record.tenant_id} is not archived for {record.year} any more.")


def _load_both(
    incoming: IncomingArchive,
    incoming_slices: Sequence[IncomingSlice],
    record: Record,
    only: Part | None,
    comes_back: Returning,
) -> dict[str, Loaded]:
    """Load all databases before any commit; the shard commits first, with a marker by which a rerun skips it."""
    placement = incoming.placement
    with ExitStack() as transactions:
        for session in placement.sessions.values():
            transactions.enter_context(session.rolled_back())
        with ExitStack() as stack:
            accounts = stack.enter_context(all_accounted(placement.sessions, "Restoring", incoming.model))
            live = _neighbours(placement, incoming.model, record, only, accounts[MASTER])
            proofs = {
                database: stack.enter_context(proven(account, incoming.model, database))
                for database, account in accounts.items()
            }
            loaded = (
                _load_shard(incoming, incoming_slices, record, live, _act(only), proofs[SHARD])
                if placement.shard_session
                else {}
            )
            loaded |= load_database(incoming, MASTER, live, proofs[MASTER])
            if not placement.shard_session:
                of_months = activity.load_rows if only else activity.load
                loaded = activity.combined(loaded, of_months(incoming_slices, proofs[MASTER]))
        _record_relocations(placement.master, record, comes_back.relocations)
        _end(placement, record, incoming.archive, only)
        # The slices of a part stay recorded: the rest of their rows comes back later, beside these.
        activity.end(placement, [] if only else [each.slice for each in incoming_slices], record.tenant_id)
        _log(placement, record, loaded, only, comes_back.left)
        what = f"{f'{only} of ' if only else ''}{incoming.model.tenant.noun} {record.tenant_id}"
        if placement.shard_session:
            placement.shard_session.commit(doing=f"restoring {what} in the shard")
        placement.master.commit(doing=f"restoring {what} in master")
    return loaded


def _counted(loaded: Mapping[str, Loaded]) -> dict[str, object]:
    """Return a restore's details for the log: rows by table, and the values that today's tables have no column for."""
    tables = {
        name: {what: rows for what, rows in asdict(table).items() if what != "lost"} for name, table in loaded.items()
    }
    lost = {f"{name}.{column}": rows for name, table in loaded.items() for column, rows in table.lost.items()}
    return {"tables": tables, "lost": lost}


def _end(placement: Placement, record: Record, archive: Archive, only: Part | None) -> None:
    """Delete the record; record what was restored if that was only a part."""
    master = placement.master
    if only is None:
        archive_record.delete(master, record)
        retained_rows.forget(master)
    else:
        archive_record.part_restored(master, record, only)
        deleted_keys.forget(master, record, id_index.ids_in(archive))


def _log(
    placement: Placement, record: Record, loaded: Mapping[str, Loaded], only: Part | None, left: Sequence[Slice]
) -> None:
    details = {**_counted(loaded), "sha256": record.sha256}
    if left:
        details["left archived"] = [f"{each.month.month} in {each.month.location}" for each in left]
    if only is None:
        closing = audit_log.closing(record, record.location, placement.shard)
        audit_log.log(placement.master, "restore", record, {**details, **closing})
    else:
        audit_log.log(placement.master, "restore part", record, {"part": str(only), **details})


def _record_relocations(master: Session, record: Record, relocations: Relocations) -> None:
    """Record the relocations applied by the restore, so that they can be reversed."""
    for relocation in relocations:
        if relocation.alias:
            move_record.restored_elsewhere(master, record, relocation.source, relocation.target, relocation.offsets)


def _neighbours(
    placement: Placement, model: Model, record: Record, only: Part | None, account: Account
) -> LiveNeighbors:
    """Return the rows that may be live already: of any table, if a part or another archive was restored."""
    tenant = tenants.unknown(placement.master, model.tenant, [record.tenant_id])
    parts = only or record.partial or _pending(placement, record)
    return LiveNeighbors(
        retained=record.kept,
        older=partial(retained_rows.from_older, placement.master, record),
        mapped=partial(_update_migrated, account, record),
        everywhere=bool(parts)
        or (not tenant and str(model.root) not in record.kept)
        or _deletion_was_lost(placement, record),
    )


def _deletion_was_lost(placement: Placement, record: Record) -> bool:
    """True if the shard was set back behind the tenant's deletion: its rows are live there."""
    if placement.shard_session is None or placement.shard != record.shard:
        return False
    return markers.DELETED not in markers.acts(placement.shard_session, record)


def _update_migrated(account: Account, record: Record, table: TableName, rows: Collection[RetainedRow]) -> None:
    """Record retained rows in master as migrations changed them."""
    with account.bookkeeping():
        retained_rows.update_migrated(account.session, record, table, rows)


def _load_shard(
    incoming: IncomingArchive,
    incoming_slices: Sequence[IncomingSlice],
    record: Record,
    live: LiveNeighbors,
    act: str,
    proof: Proof,
) -> dict[str, Loaded]:
    """Load the shard's rows, skipping each archive that has a marker: an earlier run loaded it."""
    shard = proof.session
    marker = markers.read(shard, record, act)
    if marker is None:
        loaded = load_database(incoming, SHARD, live, proof)
        if act != LOADED:
            loaded = activity.combined(loaded, activity.load_rows(incoming_slices, proof))
        with proof.account.bookkeeping():
            markers.write(shard, record, act, {name: asdict(counts) for name, counts in loaded.items()})
            if act == LOADED:
                shard_keys.forget(shard, record)
    else:
        loaded = {name: Loaded(**counts) for name, counts in marker.items()}
    return activity.combined(loaded, activity.load(incoming_slices, proof)) if act == LOADED else loaded
