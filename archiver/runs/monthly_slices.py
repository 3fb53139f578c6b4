"""Restore a tenant's monthly slices: load the deleted part of each, then end their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from archiver.catalog.model import SHARD, TableName
from archiver.delete.batches import key_in_line
from archiver.format import bundle, layout
from archiver.format.bundle import Archive
from archiver.load import subset
from archiver.load.fit import fitting
from archiver.load.load import IncomingArchive, LiveNeighbors, Loaded, load_database
from archiver.load.proof import Proof
from archiver.load.relocate import renumbered
from archiver.postgres.databases import Placement
from archiver.records import audit_log, markers, slice_record
from archiver.records.archive_record import Record
from archiver.records.holds import hold
from archiver.records.slice_record import Slice
from archiver.runs import month_object
from archiver.runs.context import Archiver
from archiver.runs.each import Done
from archiver.runs.returning import ReturningMonth
from errors import RefusedError
from inventory.keys import Key, typed
from inventory.migrations import Changes

LIVE_ANYWHERE = LiveNeighbors(retained=(), everywhere=True)  # rows of any table may be live


@dataclass(frozen=True, kw_only=True)
class IncomingSlice:
    """A slice, with its deleted rows as an archive mapped onto today's tables."""

    slice: Slice
    incoming: IncomingArchive

    @property
    def database(self) -> str:
        """The model's database of its rows."""
        return next(iter(self.incoming.archive.manifest.schemas))


@contextmanager
def opened(
    archiver: Archiver,
    placement: Placement,
    months: Sequence[ReturningMonth],
    work: Path,
    last: Changes | None = None,
    record: Record | None = None,
) -> Iterator[list[IncomingSlice]]:
    """Fetch and open slices of a tenant that is live at the placement, or whose record restores it there.

    Raises RefusedError if a slice belongs to another shard, DamagedError or StorageError, which names them all, if
    objects are not in the store as they were put, and the errors of `fitting`.
    """
    paths = _fetched(archiver, months, work, record)
    with ExitStack() as stack:
        yield [
            stack.enter_context(_opened(archiver, placement, month, path, last))
            for month, path in zip(months, paths, strict=True)
        ]


def _fetched(archiver: Archiver, months: Sequence[ReturningMonth], work: Path, record: Record | None) -> list[Path]:
    """Fetch slices; raise one error for all whose objects are lost. With a record it says how to do without them."""
    reads = ((each.slice.month, partial(month_object.fetch, archiver, each.slice, work)) for each in months)
    return month_object.all_or_lost(archiver, reads, lambda lost: _without(archiver, record, lost) if record else "")


def _without(archiver: Archiver, record: Record, lost: str) -> str:
    """Return the hint that says how all but these months come back."""
    command = f"inv restore.school {typed(record.tenant_id)} --year={record.year}"
    return f" Without it: {command} --without-month={lost} (their rows stay recorded as archived)."


@contextmanager
def _opened(
    archiver: Archiver, placement: Placement, returning: ReturningMonth, path: Path, last: Changes | None
) -> Iterator[IncomingSlice]:
    month_slice = returning.slice
    if returning.shard != placement.shard:
        noun = archiver.model.tenant.noun
        raise wrong_shard_error(noun, month_slice.tenant_id, month_slice.month.month, returning.shard, placement.shard)
    with bundle.opened(path, archiver.keys) as archived:
        month_object.belongs_to(archived, month_slice)
        with _deleted_part(archived, month_slice, path.parent) as archive:
            mappings = fitting(placement, archive, last)
            if SHARD in mappings:
                offsets = [relocation.offsets for relocation in returning.relocations]
                mappings = {SHARD: renumbered(mappings[SHARD], archiver.model, placement.schemas[SHARD], offsets)}
            yield IncomingSlice(
                slice=month_slice,
                incoming=IncomingArchive(placement=placement, model=archiver.model, archive=archive, mappings=mappings),
            )


def wrong_shard_error(noun: str, tenant_id: Key, month: str, belongs_on: str, lives_on: str) -> RefusedError:
    """Return the error for a tenant's rows that belong to another shard than its own."""
    return RefusedError(
        f"Restoring {month} of {noun} {tenant_id} refused: its rows belong to {belongs_on}, "
        f"and the {noun} is on {lives_on}."
    )


@contextmanager
def _deleted_part(archived: Archive, month_slice: Slice, work: Path) -> Iterator[Archive]:
    """Yield the slice without rows that stayed live: those of batches never reached, and of changed trees."""
    if month_slice.deleted_rows == sum(month_slice.rows.values()):
        yield archived
        return
    rows = {
        TableName(database, name): _deleted_lines(archived, TableName(database, name), month_slice)
        for database, schema in archived.manifest.schemas.items()
        for name in schema.tables
    }
    with subset.smaller(archived, rows, work) as archive:
        yield archive


def _deleted_lines(archived: Archive, table: TableName, month_slice: Slice) -> dict[int, bytes]:
    member, shape = layout.member(table), archived.manifest.schemas[table.database].tables[table.table]
    positions = [[column.name for column in shape.copied].index(name) for name in shape.primary_key]
    decided, stayed = (month_slice.went or {}).get(member, 0), set((month_slice.stayed or {}).get(member, ()))
    lines = zip(range(decided), archived.open(member), strict=False)
    return {number: line for number, line in lines if key_in_line(line, positions) not in stayed}


def load(incoming_slices: Sequence[IncomingSlice], proof: Proof) -> dict[str, Loaded]:
    """Load slices beside the live rows, in the transaction of the proof; a slice with a marker is skipped."""
    loaded: dict[str, Loaded] = {}
    for each in incoming_slices:
        session = each.incoming.placement.sessions[each.database]
        marker = markers.read(session, each.slice.month, each.slice.restore_act)
        if marker is None:
            tables = load_rows([each], proof)
            counts = {name: asdict(table) for name, table in tables.items()}
            with proof.account.bookkeeping():
                markers.write(session, each.slice.month, each.slice.restore_act, counts)
        else:
            tables = {name: Loaded(**counts) for name, counts in marker.items()}
        loaded = combined(loaded, tables)
    return loaded


def load_rows(incoming_slices: Sequence[IncomingSlice], proof: Proof) -> dict[str, Loaded]:
    """Load slices beside the live rows, in the transaction of the proof, without a marker."""
    loaded: dict[str, Loaded] = {}
    for each in incoming_slices:
        loaded = combined(loaded, load_database(each.incoming, each.database, LIVE_ANYWHERE, proof))
    return loaded


def combined(first: Mapping[str, Loaded], second: Mapping[str, Loaded]) -> dict[str, Loaded]:
    """Return the sums of two loads, by table."""
    nothing = Loaded()
    return {name: first.get(name, nothing) + second.get(name, nothing) for name in {**first, **second}}


def rows_to_load(archives: Sequence[Archive]) -> dict[str, Loaded]:
    """Return the rows that these archives would load into empty tables."""
    rows: Counter[str] = Counter()
    for archive in archives:
        rows.update({name: member.rows for name, member in archive.manifest.members.items()})
    return {name.removesuffix(".copy").replace("/", "."): Loaded(inserted=count) for name, count in rows.items()}


def done_loading(tables: Mapping[str, Loaded], size: int) -> Done[Mapping[str, Loaded]]:
    """Return what a restore did: its rows by table, and the bytes of its archives."""
    return Done(rows=sum(table.inserted for table in tables.values()), size=size, detail=tables)


def end(placement: Placement, back: Sequence[Slice], tenant_id: Key) -> None:
    """Write that a tenant's slices are live again, in the caller's transaction, and put the tenant on hold."""
    master = placement.master
    for each in back:
        slice_record.delete(master, each)
    if tenant_id:
        hold(master, [tenant_id])
    for each in back:
        details = {"month": each.month.month, "rows": each.deleted_rows, "sha256": each.sha256}
        closing = audit_log.closing(each.month, each.month.location, placement.shard)
        audit_log.log(master, "restore activity", each, {**details, **closing})
