"""Archived rows in a temporary table of today's columns, and the queries that compare them with live rows; pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from archiver.catalog.model import Link, TableName
from archiver.postgres.schema import Table, column_list, identifier, row_text
from archiver.postgres.selection import KEYLESS
from archiver.postgres.session import SQL, Composable, Identifier
from archiver.records.retained_rows import digest, key_text


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A table's staged archived rows, `s`, and its live rows, `l`, in every query."""

    table: TableName
    shape: Table  # the live table, narrowed to the staged columns
    relation: Composable  # the temporary table
    rows: int
    links: tuple[Link, ...]  # by which the table's rows are found
    lost: Mapping[str, int] = field(default_factory=dict)  # by archived column: rows that had a value there

    @property
    def live(self) -> Composable:
        """The live table."""
        return identifier(self.table.table)

    @property
    def column_names(self) -> frozenset[str]:
        """The staged columns."""
        return frozenset(column.name for column in self.shape.columns)

    @property
    def match(self) -> Composable:
        """SQL: the condition that a staged and a live row have the same key; false if the table has no key."""
        return _alike(self.shape.primary_key) if self.shape.primary_key else SQL("false")

    @property
    def lock_query(self) -> Composable:
        """The query that locks the live rows that have a staged copy against deletion."""
        order = self.shape.primary_key or KEYLESS
        same = self.match if self.shape.primary_key else _same_copy(self)
        return SQL("SELECT 1 FROM {} l JOIN {} s ON {} ORDER BY {} FOR KEY SHARE OF l").format(
            self.live, self.relation, same, SQL(", ").join(Identifier("l", name) for name in order)
        )

    def without(self, columns: Collection[str]) -> Staged:
        """Return the same rows without these columns; those of the key are left."""
        compared = tuple(
            column
            for column in self.shape.columns
            if column.name not in columns or column.name in self.shape.primary_key
        )
        return replace(self, shape=replace(self.shape, columns=compared))

    @property
    def everything(self) -> Composable:
        """The query for all staged rows."""
        return SQL("SELECT {} FROM {} s").format(column_list(self.shape), self.relation)

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
        """The query for key and digest of the live rows whose staged copies have other content."""
        return SQL("SELECT {}, {} FROM {} s JOIN {} l ON {} WHERE {} <> {}").format(
            key_text(self.shape, "l"),
            digest(self.shape, "l"),
            self.relation,
            self.live,
            self.match,
            _row(self.shape, "s"),
            _row(self.shape, "l"),
        )

    @property
    def differing_columns(self) -> Composable:
        """The query for the number of live rows that differ from their staged copies, column by column."""
        return SQL("SELECT {} FROM {} s JOIN {} l ON {}").format(
            SQL(", ").join(
                SQL("count(*) FILTER (WHERE s.{0}::text IS DISTINCT FROM l.{0}::text)").format(Identifier(column.name))
                for column in self.shape.copied
            ),
            self.relation,
            self.live,
            self.match,
        )

    @property
    def alike(self) -> Composable:
        """The query for the number of live rows that equal a staged one, of a table without a key."""
        return SQL("SELECT count(*) FROM {} l WHERE EXISTS (SELECT FROM {} s WHERE {})").format(
            self.live, self.relation, _same_copy(self)
        )


def _alike(columns: Iterable[str]) -> Composable:
    """SQL: the condition that a live and a staged row are equal in these columns."""
    return SQL(" AND ").join(SQL("l.{0} = s.{0}").format(Identifier(name)) for name in columns)


def _missing_by_key(staged: Staged) -> Composable:
    """SQL: the staged rows whose key is not live."""
    query = SQL("SELECT {} FROM {} s WHERE NOT EXISTS (SELECT 1 FROM {} l WHERE {})")
    return query.format(column_list(staged.shape), staged.relation, staged.live, staged.match)


def _missing_copies(staged: Staged) -> Composable:
    """SQL: the missing copies of rows without a key: the table is a multiset of rows."""
    return SQL(
        "SELECT {columns} FROM (SELECT *, row_number() OVER (PARTITION BY {whole_s}) AS {copy} FROM {relation} s) s"
        " WHERE {copy} > (SELECT count(*) FROM {live} l WHERE {same})"
    ).format(
        columns=column_list(staged.shape),
        copy=Identifier("number of the copy"),  # a plain name could be a column's
        whole_s=_row(staged.shape, "s"),
        relation=staged.relation,
        live=staged.live,
        same=_same_copy(staged),
    )


def _same_copy(staged: Staged) -> Composable:
    """SQL: the condition that a staged and a live row without key are equal, with indexed columns first."""
    near = [
        SQL("({})").format(_alike(link.columns))
        for link in staged.links
        if staged.column_names.issuperset(link.columns)
    ]
    equal = SQL("{} = {}").format(_row(staged.shape, "l"), _row(staged.shape, "s"))
    return SQL("({}) AND {}").format(SQL(" OR ").join(near or [SQL("true")]), equal)


def _row(shape: Table, alias: str) -> Composable:
    """SQL: a row as text."""
    return row_text((column.name for column in shape.copied), alias)
