"""The waste in a table, and the decision to rewrite it. Pure.

Estimated from a sample of live rows: pgstattuple may be missing, reads entire tables, and does not measure indexes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil

PAGE = 8192  # bytes
_USABLE = PAGE - 24  # bytes of a heap page without its header
_POINTER = 4  # bytes of the item pointer of a row or an index entry
_INLINE = 2040  # bytes; a longer row has values in its TOAST table, four chunks a page and an index over them
_TOASTED = 1.05
_LEAF, _ENTRY = PAGE - 40, 8  # usable bytes of a btree page, and the header of an entry
_BRANCHES = 1.01  # pages above the leaves
# A btree filled in random order is two thirds full, in the worst case half: a rebuild frees that only for a while.
_GROWN = 2
# Autovacuum waits until a fifth of a table is dead: that much waste is normal, and will be reused.
BLOATED = 0.2
# Rows, TOAST and each index end with a partly filled page: below this, the estimate is meaningless.
WORTH = 4 * PAGE
_MARGIN = 1.2  # factor on the disk space of a rewrite: sorting an index, and the error of the sample


@dataclass(frozen=True, kw_only=True)
class TableBloat:
    """A table, a partition, a materialized view, or a partitioned table, which has no rows of its own."""

    oid: int
    schema: str
    name: str
    fill: int = 100  # fillfactor: percentage of a page that its rows fill
    columns: tuple[str, ...] = ()  # the stored ones
    owner: str = ""
    permitted: bool = True  # True if the role may vacuum it
    readable: bool = True  # True if the role sees all of its rows
    filled: bool = True  # True if it can have rows: not a partitioned table, or a view that was never populated
    partitioned: bool = False  # its rows are those of its partitions

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


@dataclass(frozen=True, kw_only=True)
class DiskSize:
    """The size of a table on disk, in bytes."""

    all: int = 0  # with indexes and TOAST
    main: int = 0  # its rows
    toast: int = 0  # values stored out of line, with their index

    @property
    def heap(self) -> int:
        """Bytes of its rows, with their TOAST values."""
        return self.main + self.toast


@dataclass(frozen=True, kw_only=True)
class Index:
    """An index of a table."""

    bytes: int
    columns: tuple[str, ...] | None  # None: an index on expressions, a partial one, or no btree: its need is unknown
    fill: int = 90  # fillfactor: percentage of a page that its entries fill


@dataclass(frozen=True, kw_only=True)
class BloatSample:
    """A sample of a table's live rows."""

    rows: float  # in the table, extrapolated from the share that was read
    width: float  # bytes of a row as it is stored, aligned, with its header
    widths: dict[str, float]  # bytes of a column's value, by name


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A table's size, compared with what its live rows need."""

    table: TableBloat
    bytes: int  # on disk
    live: int  # bytes after a rewrite
    waste: int  # bytes that a rewrite frees permanently

    @property
    def share(self) -> float:
        """The waste as a share of its size, 0 to 1."""
        return self.waste / self.bytes if self.bytes else 0.0

    @property
    def bloated(self) -> bool:
        """True if a rewrite is worth its lock."""
        return self.waste >= WORTH and self.share > BLOATED

    @property
    def need(self) -> int:
        """Bytes of free disk that a rewrite needs: old and new table exist side by side."""
        return ceil(self.live * _MARGIN)


def measured(table: TableBloat, size: DiskSize, indexes: Iterable[Index], sample: BloatSample) -> Measured:
    """Return the size of a table with the waste in it and its indexes."""
    root = PAGE if size.toast else 0  # even an empty TOAST table has an index page
    live = min(size.heap, _heap(sample, table.fill) + root)
    waste = size.heap - live
    for index in indexes:
        needed = min(index.bytes, _btree(index, sample))
        live += needed
        waste += index.bytes - needed if index.bytes > _GROWN * needed else 0
    return Measured(table=table, bytes=size.all, live=live, waste=waste)


def unmeasured(table: TableBloat, size: DiskSize) -> Measured:
    """Return a table that cannot be measured: assume that it needs all its space."""
    return Measured(table=table, bytes=size.all, live=size.all, waste=0)


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
