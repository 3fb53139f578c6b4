"""A whole product as plain objects: tables, what leads where, and rows; and how a run over it shall go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from inventory.keys import Key, key_of

MASTER, SHARD = "master", "shard"
Cells = Mapping[str, str | None]  # a row's values as PostgreSQL reads and writes them, by column


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column as it is declared."""

    name: str
    type: str
    nullable: bool = True
    numbered: str = ""  # `serial`, or by which kind of identity
    generated: str = ""  # the expression, and whether it is stored


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, carried by the catalog or beside it."""

    database: str  # master or shard
    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]  # empty: none is declared
    constraints: tuple[str, ...] = ()
    partitioned_by: str = ""  # a column, by whose hash its rows lie in two partitions
    carried: bool = True

    @property
    def path(self) -> str:
        """Its name in these tests: `master.t1`."""
        return f"{self.database}.{self.name}"


@dataclass(frozen=True)
class Link:
    """A row of `parent` leads to the rows of `child` that hold the same in these columns."""

    child: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    where: tuple[str, str] | None = None  # a column of the child, and its value
    finds: bool = True  # no: it only keeps the child's row alive

    def leads(self, parent: Row, child: Row) -> bool:
        """True if it leads from one row to the other; only from and to master does a link leave a database."""
        near = parent.place == child.place or MASTER in (parent.place, child.place)
        narrow = self.where is None or child.cells[self.where[0]] == self.where[1]
        key = parent.key(self.parent_columns)
        return near and narrow and None not in key and key == child.key(self.columns)


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """A constraint within one database."""

    table: str
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    words: str = ""  # what is said behind it: ON DELETE …, DEFERRABLE …

    def holds(self, rows: Sequence[Row]) -> bool:
        """True if every row that references one references an existing row."""
        there = {(row.place, row.key(self.target_columns)) for row in rows if row.table == self.target}
        naming = [(row.place, row.key(self.columns)) for row in rows if row.table == self.table]
        return all(None in key or (place, key) in there for place, key in naming)


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """One row; equal rows are different objects."""

    table: str
    place: str  # master, shard_1 or shard_2
    cells: Cells

    def key(self, columns: Sequence[str]) -> tuple[str | None, ...]:
        """Return its values of these columns."""
        return tuple(self.cells[name] for name in columns)


@dataclass(frozen=True, kw_only=True)
class Run:
    """The order in which tenants are archived and restored; the first makes a round trip before."""

    depth: str  # all, or students
    out: tuple[Key, ...]
    back: tuple[Key, ...]


@dataclass(frozen=True, kw_only=True)
class Product:
    """All of it; the first table has one row for each tenant."""

    shards: tuple[str, ...]  # none: all lies in master
    tables: Mapping[str, Table]
    written: tuple[str, ...]  # the carried tables, in the order in which the catalog names them
    links: tuple[Link, ...]
    foreign_keys: tuple[ForeignKey, ...]
    rows: tuple[Row, ...]
    start: str  # the table from which the depth `students` deletes
    stay: tuple[str, ...]  # names of tables of which it deletes nothing
    run: Run

    @property
    def root(self) -> Table:
        """The table of tenants."""
        return next(iter(self.tables.values()))

    @cached_property
    def tenants(self) -> Mapping[Key, Row]:
        """The tenants' own rows, by key."""
        numbers = {column.name for column in self.root.columns if column.type in ("smallint", "integer", "bigint")}
        keys = {
            row: [int(row.cells[name] or 0) if name in numbers else row.cells[name] for name in self.root.primary_key]
            for row in self.rows
            if row.table == self.root.path
        }
        return {key_of(values): row for row, values in keys.items()}

    def places(self, table: Table) -> tuple[str, ...]:
        """The databases in which a table lies."""
        return (MASTER,) if table.database == MASTER else self.shards
