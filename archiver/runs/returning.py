"""Find what brings rows back: an archive and its months, or months alone; in their order, each by its relocations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from archiver.postgres.databases import Databases
from archiver.records import archive_record, slice_record
from archiver.records.archive_record import Record
from archiver.records.placement_history import Relocations, final_shard, placement_history, relocations_of
from archiver.records.slice_record import Slice
from archiver.records.state import State
from errors import Problems
from formatting import many
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class ReturningMonth:
    """A slice, and the relocations of its rows since it was archived."""

    slice: Slice
    relocations: Relocations

    @property
    def shard(self) -> str:
        """The shard to which its rows belong today."""
        return final_shard(self.slice.month.shard, self.relocations)


@dataclass(frozen=True, kw_only=True)
class Returning:
    """An archive, and the months that come back with it, in the order in which they are loaded: after it, latest first.

    Rows of an earlier month may have their parents in a later one.
    """

    record: Record
    relocations: Relocations
    months: tuple[ReturningMonth, ...]
    left: tuple[Slice, ...] = ()  # slices that stay archived because the operator named their month

    @property
    def shard(self) -> str:
        """The shard to which the rows belong today."""
        return final_shard(self.record.shard, self.relocations)


def returning(databases: Databases, record: Record, without: Collection[str] = ()) -> Returning:
    """Return what brings an archived tenant back; `without` names months whose slices stay archived.

    Raises Problems with each of these months of which no slice comes back with this archive.
    """
    relocations = relocations_of(databases, record)
    slices = _slices_of(databases, record)
    who = f"{databases.model.tenant.noun} {record.tenant_id} of {record.year}"
    refuse_unknown_months(f"Nothing was restored of {who}", without, {each.month.month for each in slices})
    return Returning(
        record=record,
        relocations=relocations,
        months=tuple(
            ReturningMonth(slice=each, relocations=_up_to(databases, each, record, relocations))
            for each in slices
            if each.month.month not in without
        ),
        left=tuple(each for each in slices if each.month.month in without),
    )


def returning_month(databases: Databases, month: str, tenant_id: Key) -> tuple[ReturningMonth, ...]:
    """Return what brings a month of a live tenant back, or of rows of no tenant: these were never relocated."""
    history = placement_history(databases.master)
    return tuple(
        ReturningMonth(
            slice=each,
            relocations=history.relocations(tenant_id, each.month.shard, each.month.turn, live=True),
        )
        for each in slice_record.of_tenant(databases.master, tenant_id)
        if each.month.month == month
    )


def refuse_unknown_months(nothing: str, without: Collection[str], months: Collection[str]) -> None:
    """Raise Problems, which begins with what was not done, if an operator names a month that an archive has not."""
    if unknown := sorted({*without} - {*months}):
        have = f"it has {many(len(months), 'month')}: {', '.join(sorted(months))}" if months else "it has none"
        raise Problems(
            f"{nothing}: these months do not come with it.",
            [f"--without-month={month}: {have}" for month in unknown],
        )


def parent_archive(month_slice: Slice, of_tenant: Iterable[Record]) -> Record | None:
    """Return the first of the tenant's archives begun after the slice, which holds its parent rows; None if live."""
    not_live = (State.DELETING, State.ARCHIVED, State.RESTORING)
    later = [each for each in of_tenant if each.state in not_live and each.turn > month_slice.month.turn]
    return min(later, key=attrgetter("turn"), default=None)


def _slices_of(databases: Databases, record: Record) -> Sequence[Slice]:
    """Return the tenant's slices with parents in this archive, or live, the latest first."""
    if not databases.model.catalog.activity:
        return ()
    every = archive_record.of_tenant(databases.master, record.tenant_id)
    return [
        each
        for each in slice_record.of_tenant(databases.master, record.tenant_id)
        if (parent := parent_archive(each, every)) is None or parent.id == record.id
    ]


def _up_to(databases: Databases, month_slice: Slice, record: Record, relocations: Relocations) -> Relocations:
    """Return the relocations of a slice's rows up to the archive's, then the archive's own."""
    own = (
        relocation
        for relocation in placement_history(databases.master).tenants.get(month_slice.tenant_id, ())
        if month_slice.month.turn < relocation.turn <= record.turn
    )
    return (*own, *relocations)
