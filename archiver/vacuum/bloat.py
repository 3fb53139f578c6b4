"""How much of a table is waste, and whether a rewrite is worth it; pure.

Worked out from a sample of live rows, because pgstattuple may be missing, reads whole tables and sees no index.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

PAGE = 8192  # bytes
_USABLE = PAGE - 24  # of a page of rows, below its header
_POINTER = 4  # bytes a row or an entry costs besides itself
_INLINE = 2040  # bytes; a longer row has values in its TOAST table, four chunks a page and an index over them
_TOASTED = 1.05
_LEAF, _ENTRY = PAGE - 40, 8  # what a btree's page holds, and an entry's own header
_BRANCHES = 1.01  # pages above the leaves
# A btree that is filled in any order is two thirds full, in an unlucky one half: a rebuild gives that back for a while.
_GROWN = 2
# Autovacuum waits until a fifth of a table is dead: so much is how a healthy table lives, and fills again.
BLOATED = 0.2
# Rows, TOAST and each index end with a page that is not full: below this the measure says nothing.
WORTH = 4 * PAGE
_MARGIN = 1.2  # of the free disk that a rewrite needs: the sort of an index, and what the sample does not see


@dataclass(frozen=True, kw_only=True)
class TableBloat:
    """A table, a partition, a materialized view, or a partitioned table, which has no rows of its own."""

    oid: int
    schema: str
    name: str
    fill: int = 100  # per cent of a page that its rows are packed into
    columns: tuple[str, ...] = ()  # that are stored
    owner: str = ""
    permitted: bool = True  # whether the role may vacuum it
    readable: bool = True  # whether the role sees all of its rows
    filled: bool = True  # whether it can have rows; not so a partitioned table, or a view that was never filled
    partitioned: bool = False  # its rows are those of its partitions

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class IndexSize:
    """Bytes of a table on disk."""

    all: int = 0  # with everything
    main: int = 0  # its rows
    toast: int = 0  # the values that are kept apart, with their index

    @property
    def heap(self) -> int:
        """Bytes of its rows, wherever their values are."""
        return self.main + self.toast


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index of a table."""

    bytes: int
    columns: tuple[str, ...] | None  # none: over expressions or some rows, or no btree; nobody knows what it needs
    fill: int = 90  # per cent of a page that its entries are packed into


@dataclass(frozen=True, kw_only=True)
class BloatSample:
    """What was read of a table's live rows."""

    rows: float  # in the whole table, by the share that was read
    width: float  # bytes of a row as it is stored, aligned, with its header
    widths: dict[str, float]  # bytes of a column's value, by name


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A table, held against what its live rows need."""

    table: TableBloat
    bytes: int  # on disk
    live: int  # bytes after a rewrite
    waste: int  # bytes that a rewrite gives back for good

    @property
    def share(self) -> float:
        """How much of it is waste: 0 to 1."""
        return self.waste / self.bytes if self.bytes else 0.0

    @property
    def bloated(self) -> bool:
        """Whether a rewrite is worth its lock."""
        return self.waste >= WORTH and self.share > BLOATED

    @property
    def need(self) -> int:
        """Bytes of free disk that a rewrite wants: the new table lies beside the old one."""
        return ceil(self.live * _MARGIN)


def measured(table: TableBloat, held: IndexSize, indexes: Iterable[Index], sample: BloatSample) -> Measured:
    """What of a table and its indexes is waste."""
    root = PAGE if held.toast else 0  # of the index that even an empty TOAST table has
    live = min(held.heap, _heap(sample, table.fill) + root)
    waste = held.heap - live
    for index in indexes:
        needed = min(index.bytes, _btree(index, sample))
        live += needed
        waste += index.bytes - needed if index.bytes > _GROWN * needed else 0
    return Measured(table=table, bytes=held.all, live=live, waste=waste)


def unmeasured(table: TableBloat, held: IndexSize) -> Measured:
    """A table of which nobody knows: it may need as much as it has."""
    return Measured(table=table, bytes=held.all, live=held.all, waste=0)


def _heap(sample: BloatSample, fill: int) -> int:
    row, page = sample.width + _POINTER, _USABLE * fill / 100
    if row > _INLINE:
        return ceil(sample.rows * row * _TOASTED / page) * PAGE
    return ceil(sample.rows / max(1, page // row)) * PAGE


def _btree(index: Index, sample: BloatSample) -> int:
    if index.columns is None:
        return index.bytes
    keys = sum(sample.widths[column] for column in index.columns)
    entry = _ENTRY + ceil(keys / 8) * 8 + _POINTER
    leaves = ceil(sample.rows * entry / (_LEAF * index.fill / 100))
    return (1 + ceil(leaves * _BRANCHES)) * PAGE
