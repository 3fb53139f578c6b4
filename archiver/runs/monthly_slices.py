"""A tenant's slices on their way back: what of each went, ready to be loaded; and the end of their records."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from operator import attrgetter
from pathlib import Path

from archiver.catalog.model import SHARD, TableName
from archiver.delete.batches import key_in_line
from archiver.format import bundle, layout
from archiver.format.bundle import Archive
from archiver.load import subset
from archiver.load.fit import fitting
from archiver.load.load import IncomingArchive, LiveNeighbors, Loaded, load_database
from archiver.load.relocate import renumbered
from archiver.postgres.databases import Databases, Placement
from archiver.postgres.session import Session
from archiver.records import log_and_markers, slice_record
from archiver.records.archive_record import ArchiveState, Record
from archiver.records.holds import hold
from archiver.records.placement import Relocations, ends_in, placement_history
from archiver.records.placement import relocations_of as record_hops
from archiver.records.slice_record import Slice
from archiver.runs import month_object
from archiver.runs.context import Archiver
from errors import RefusedError
from inventory.migrations import Changes

BESIDE = LiveNeighbors(kept=(), everywhere=True)  # rows of any table may be live


@dataclass(frozen=True, kw_only=True)
class IncomingSlice:
    """A slice with what of it went, as an archive that fits today's tables."""

    slice: Slice
    incoming: IncomingArchive

    @property
    def database(self) -> str:
        """The database of the model in which its rows belong."""
        return next(iter(self.incoming.archive.manifest.schemas))


@contextmanager
def opened(
    archiver: Archiver,
    placement: Placement,
    wanted: Iterable[Slice],
    work: Path,
    last: Changes | None = None,
    record: Record | None = None,
) -> Iterator[list[IncomingSlice]]:
    """Fetches slices of a tenant that lives at a site, or whose record brings it there, and opens them; the latest
    archive first, which an earlier one may lie below.

    Raises RefusedError where one belongs to another shard, and what `fitting` does.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_opened(archiver, placement, one, work, last, record)) for one in wanted]


@contextmanager
def _opened(
    archiver: Archiver, placement: Placement, one: Slice, work: Path, last: Changes | None, record: Record | None
) -> Iterator[IncomingSlice]:
    hops = slice_relocations(archiver.databases, one, record)
    if (lies_in := ends_in(one.month.shard, hops)) != placement.shard:
        noun = archiver.model.tenant.noun
        raise wrong_shard_error(noun, one.tenant_id, one.month.month, lies_in, placement.shard)
    path = month_object.fetch(archiver, one, work)
    with bundle.opened(path, archiver.keys) as whole:
        month_object.belongs_to(whole, one)
        with _what_went(whole, one, path.parent) as archive:
            mappings = fitting(placement, archive, last)
            if SHARD in mappings:
                offsets = [hop.offsets for hop in hops]
                mappings = {SHARD: renumbered(mappings[SHARD], archiver.model, placement.schemas[SHARD], offsets)}
            yield IncomingSlice(
                slice=one,
                incoming=IncomingArchive(placement=placement, model=archiver.model, archive=archive, mappings=mappings),
            )


def slice_relocations(databases: Databases, one: Slice, record: Record | None = None) -> Relocations:
    """The ways that a slice's rows go today; once its tenant was archived as a whole, those of its record.

    Rows of nobody moved nowhere.
    """
    known, month = placement_history(databases.master), one.month
    if record is None:
        return known.relocations(one.tenant_id, month.shard, month.started_at, live=True)
    own = (hop for hop in known.tenants.get(one.tenant_id, ()) if month.started_at < hop.at <= record.started_at)
    return (*own, *record_hops(databases, record))


def parent_archive(one: Slice, of_tenant: Iterable[Record]) -> Record | None:
    """The archive of its tenant that holds what a slice's rows lie below: the first that was begun after it; none where
    that is live."""
    gone = (ArchiveState.DELETING, ArchiveState.ARCHIVED, ArchiveState.RESTORING)
    later = [each for each in of_tenant if each.state in gone and each.started_at > one.month.started_at]
    return min(later, key=attrgetter("started_at"), default=None)


def wrong_shard_error(noun: str, tenant_id: int, month: str, belongs_to: str, lives_on: str) -> RefusedError:
    """What is said where a tenant's rows belong to another shard than its own."""
    return RefusedError(
        f"Restoring {month} of {noun} {tenant_id} refused: its rows belong to {belongs_to}, "
        f"and the {noun} is on {lives_on}."
    )


@contextmanager
def _what_went(whole: Archive, one: Slice, work: Path) -> Iterator[Archive]:
    """The slice without the rows that stayed live: those of batches that never came, and of trees that changed."""
    if one.deleted_rows == sum(one.rows.values()):
        yield whole
        return
    rows = {
        TableName(database, name): _lines(whole, TableName(database, name), one)
        for database, schema in whole.manifest.schemas.items()
        for name in schema.tables
    }
    with subset.smaller(whole, rows, work) as archive:
        yield archive


def _lines(whole: Archive, table: TableName, one: Slice) -> dict[int, bytes]:
    member, shape = layout.member(table), whole.manifest.schemas[table.database].tables[table.table]
    places = [[column.name for column in shape.copied].index(name) for name in shape.primary_key]
    decided, stayed = (one.went or {}).get(member, 0), set((one.stayed or {}).get(member, ()))
    lines = zip(range(decided), whole.open(member), strict=False)
    return {number: line for number, line in lines if key_in_line(line, places) not in stayed}


def load(coming: Sequence[IncomingSlice]) -> dict[str, Loaded]:
    """Loads slices beside the live rows, in the caller's transaction; each leaves its marker, and is skipped by it."""
    loaded: dict[str, Loaded] = {}
    for each in coming:
        session = each.incoming.placement.sessions[each.database]
        noted = log_and_markers.marked(session, each.slice.month, each.slice.way_back)
        if noted is None:
            tables = load_database(each.incoming, each.database, BESIDE)
            counts = {name: asdict(table) for name, table in tables.items()}
            log_and_markers.mark(session, each.slice.month, each.slice.way_back, counts)
        else:
            tables = {name: Loaded(**counts) for name, counts in noted.items()}
        loaded = combined(loaded, tables)
    return loaded


def combined(one: Mapping[str, Loaded], other: Mapping[str, Loaded]) -> dict[str, Loaded]:
    """What was loaded into tables in two goes."""
    nothing = Loaded()
    return {name: one.get(name, nothing) + other.get(name, nothing) for name in {**one, **other}}


def rows_to_load(archives: Sequence[Archive]) -> dict[str, Loaded]:
    """What would be loaded of these archives into empty tables."""
    rows: Counter[str] = Counter()
    for archive in archives:
        rows.update({name: member.rows for name, member in archive.manifest.members.items()})
    return {name.removesuffix(".copy").replace("/", "."): Loaded(inserted=count) for name, count in rows.items()}


def end(master: Session, back: Sequence[Slice], tenant_id: int) -> None:
    """Writes that a tenant's slices are live again; belongs into the transaction that ends their way back.

    The tenant is left alone by monthly runs from now on.
    """
    for one in back:
        slice_record.give_up(master, one)
        log_and_markers.log(
            master, "restore activity", one, {"month": one.month.month, "rows": one.deleted_rows, "sha256": one.sha256}
        )
    if tenant_id:
        hold(master, [tenant_id])
