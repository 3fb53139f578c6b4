"""Archived rows in a temporary table of today's shape, and the queries that hold them against the live ones; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from archiver.catalog.model import Link, TableName
from archiver.postgres.schema import Table, column_list, identifier, row_text
from archiver.postgres.selection import KEYLESS
from archiver.postgres.session import SQL, Composable, Identifier
from archiver.records.retained_rows import digest, key_text


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A table's archived rows beside the live ones: `s` and `l` in every query."""

    table: TableName
    shape: Table  # the live table, narrowed to the columns that came
    relation: Composable  # the temporary table
    rows: int
    links: tuple[Link, ...]  # by which the table's rows are found
    lost: Mapping[str, int] = field(default_factory=dict)  # archived column: rows that held a value there

    @property
    def live(self) -> Composable:
        """The table itself."""
        return identifier(self.table.table)

    @property
    def column_names(self) -> frozenset[str]:
        """The columns that came."""
        return frozenset(column.name for column in self.shape.columns)

    @property
    def match(self) -> Composable:
        """That a staged row and a live row have one key; never, where there is no key."""
        return _alike(self.shape.primary_key) if self.shape.primary_key else SQL("false")

    @property
    def lock_query(self) -> Composable:
        """The query that locks the live rows which have a copy here, so that nobody deletes them meanwhile."""
        order = self.shape.primary_key or KEYLESS
        same = self.match if self.shape.primary_key else _same_copy(self)
        return SQL("SELECT 1 FROM {} l JOIN {} s ON {} ORDER BY {} FOR KEY SHARE OF l").format(
            self.live, self.relation, same, SQL(", ").join(Identifier("l", name) for name in order)
        )

    @property
    def missing(self) -> Composable:
        """The query for the rows that are not live."""
        return _missing_by_key(self) if self.shape.primary_key else _missing_copies(self)

    @property
    def copies(self) -> Composable:
        """The query for key and digest of the staged rows."""
        return SQL("SELECT {}, {} FROM {} s").format(key_text(self.shape, "s"), digest(self.shape, "s"), self.relation)

    @property
    def differing(self) -> Composable:
        """The query for key and digest of the live rows that say something else than their copies."""
        return SQL("SELECT {}, {} FROM {} s JOIN {} l ON {} WHERE {} <> {}").format(
            key_text(self.shape, "l"),
            digest(self.shape, "l"),
            self.relation,
            self.live,
            self.match,
            _whole(self.shape, "s"),
            _whole(self.shape, "l"),
        )


def _alike(columns: Iterable[str]) -> Composable:
    """That a live row and a staged one hold the same in these columns."""
    return SQL(" AND ").join(SQL("l.{0} = s.{0}").format(Identifier(name)) for name in columns)


def _missing_by_key(one: Staged) -> Composable:
    query = SQL("SELECT {} FROM {} s WHERE NOT EXISTS (SELECT 1 FROM {} l WHERE {})")
    return query.format(column_list(one.shape), one.relation, one.live, one.match)


def _missing_copies(one: Staged) -> Composable:
    """Of rows without a key, as many copies as are missing: the table is a multiset of whole rows."""
    return SQL(
        "SELECT {columns} FROM (SELECT *, row_number() OVER (PARTITION BY {whole_s}) AS {copy} FROM {place} s) s"
        " WHERE {copy} > (SELECT count(*) FROM {live} l WHERE {same})"
    ).format(
        columns=column_list(one.shape),
        copy=Identifier("number of the copy"),  # a plain name may be a column's
        whole_s=_whole(one.shape, "s"),
        place=one.relation,
        live=one.live,
        same=_same_copy(one),
    )


def _same_copy(one: Staged) -> Composable:
    """That a staged row and a live row without key say the same; the columns that have an index come first."""
    near = [SQL("({})").format(_alike(link.columns)) for link in one.links if one.column_names.issuperset(link.columns)]
    whole = SQL("{} = {}").format(_whole(one.shape, "l"), _whole(one.shape, "s"))
    return SQL("({}) AND {}").format(SQL(" OR ").join(near or [SQL("true")]), whole)


def _whole(shape: Table, alias: str) -> Composable:
    return row_text((column.name for column in shape.copied), alias)
