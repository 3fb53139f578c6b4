"""A restore's plan: the archive mapped onto today's tables, and what is in its way."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from archiver.format.bundle import opened
from archiver.format.encryption import refuse_if_closed
from archiver.format.spool_folder import work_folder
from archiver.load import fit
from archiver.load.load import IncomingArchive
from archiver.load.obstacles import LiveComparison, compare_together
from archiver.load.relocate import relocated
from archiver.mapping.schema_mapping import SchemaMapping
from archiver.postgres import tenants
from archiver.postgres.databases import Placement
from archiver.records.archive_record import Record
from archiver.records.slice_record import Slice
from archiver.runs import monthly_slices
from archiver.runs.context import Archiver, fetch
from archiver.runs.returning import ReturningMonth, returning
from archiver.verify.verify import belongs_to
from errors import CutoverError
from inventory.migrations import Changes


@dataclass(frozen=True, kw_only=True)
class MonthPlan:
    """The plan of restoring one of the archive's months with it."""

    slice: Slice
    comparison: LiveComparison  # empty if it can't be opened
    error: CutoverError | None = None  # its object is lost, or its rows do not fit today's tables

    @property
    def refused(self) -> bool:
        """True if a restore with this month would be refused."""
        return bool(self.error or self.comparison.refusals)


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """The plan of restoring one archive, with its months."""

    record: Record
    shard: str  # target
    mappings: Mapping[str, SchemaMapping]
    problems: tuple[str, ...]  # mappings that are impossible, and sequences that would assign ids twice
    comparison: LiveComparison  # empty if there are problems
    months: tuple[MonthPlan, ...] = ()  # the latest first

    @property
    def refused(self) -> bool:
        """True if a restore would be refused."""
        return bool(self.problems or self.comparison.refusals) or any(month.refused for month in self.months)


def plan(archiver: Archiver, record: Record, last: Changes | None = None) -> RestorePlan:
    """Fetch an archive and its months, map them, stage them beside the live rows and roll back."""
    comes_back = returning(archiver.databases, record)
    placement = archiver.databases.placement(comes_back.shard)
    refuse_if_closed([record.location], archiver.keys)
    with (
        work_folder(archiver.work) as work,
        opened(fetch(archiver.bucket, record, work), archiver.keys) as archive,
        ExitStack() as stack,
    ):
        belongs_to(archive, record.tenant_id, record.year)
        mappings = relocated(
            fit.mapped(placement, archive.manifest, last), archiver.model, placement.schemas, comes_back.relocations
        )
        incoming = IncomingArchive(placement=placement, model=archiver.model, archive=archive, mappings=mappings)
        problems = fit.problems_of(mappings) or fit.rows_that_do_not_fit(placement, mappings, archive)
        months = [_opened(archiver, placement, each, work, last, record, stack) for each in comes_back.months]
        comparison, of_months = _compared(incoming, record, problems, months)
        return RestorePlan(
            record=record,
            shard=placement.shard,
            mappings=mappings,
            problems=(*problems, *map(str, fit.sequences_too_low(placement, mappings, archive.manifest))),
            comparison=comparison,
            months=of_months,
        )


@dataclass(frozen=True, kw_only=True)
class _Month:
    """A month that is opened, or the error for which it is not."""

    slice: Slice
    incoming: IncomingArchive | None = None
    error: CutoverError | None = None


def _opened(
    archiver: Archiver,
    placement: Placement,
    month: ReturningMonth,
    work: Path,
    last: Changes | None,
    record: Record,
    stack: ExitStack,
) -> _Month:
    """Open a month until the stack is closed."""
    try:
        [opened_slice] = stack.enter_context(monthly_slices.opened(archiver, placement, [month], work, last, record))
        return _Month(slice=month.slice, incoming=opened_slice.incoming)
    except CutoverError as error:
        return _Month(slice=month.slice, error=error)


def _compared(
    incoming: IncomingArchive, record: Record, problems: Collection[str], months: Sequence[_Month]
) -> tuple[LiveComparison, tuple[MonthPlan, ...]]:
    """Return the archive's comparison with the live rows, and the plan of each month; nothing if there are problems."""
    open_months = [] if problems else [month.incoming for month in months if month.incoming]
    comparisons = (
        []
        if problems
        else compare_together([(incoming, _retained(incoming, record)), *((month, None) for month in open_months)])
    )
    own = comparisons[0] if comparisons else _NOTHING
    rest = iter(comparisons[1:])
    return own, tuple(
        MonthPlan(
            slice=month.slice,
            comparison=next(rest, _NOTHING) if month.incoming else _NOTHING,
            error=month.error,
        )
        for month in months
    )


_NOTHING = LiveComparison(tables={})


def _retained(incoming: IncomingArchive, record: Record) -> Collection[str] | None:
    """Return the tables of which rows stayed live; None if rows of any may be, since a part or another archive came."""
    model, master = incoming.model, incoming.placement.master
    live = not tenants.unknown(master, model.tenant, [record.tenant_id])
    return None if record.partial or (live and str(model.root) not in record.kept) else record.kept
