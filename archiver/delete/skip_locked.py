"""A month's rows of a live product, locked without waiting: a tree of which a row is in use or changed stays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import Link, TableName
from archiver.completeness.recheck import recheck
from archiver.delete.commit import Accounts
from archiver.delete.delete import delete
from archiver.delete.return_trial import tried_back
from archiver.delete.unchanged import prove_shape
from archiver.extract.month import copy_in_order
from archiver.postgres.databases import Placement
from archiver.postgres.schema import identifier
from archiver.postgres.selection import Key, SelectedRows, among, rows_where
from archiver.postgres.session import SQL, Identifier

RowsByTable = Mapping[TableName, SelectedRows]


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Some row trees of a slice: their rows, and the archive's line for each."""

    rows: RowsByTable
    trees: Mapping[TableName, list[int]]
    lines: Mapping[TableName, list[bytes]]

    def without(self, stay: set[int]) -> dict[TableName, SelectedRows]:
        """Return the rows of the trees that do not stay."""
        return {
            table: replace(
                rows, rows=[row for row, tree in zip(rows.rows, self.trees[table], strict=True) if tree not in stay]
            )
            for table, rows in self.rows.items()
        }


@dataclass(frozen=True, kw_only=True)
class DecidedBatch:
    """The trees of a batch that stay, and the rows of the others, which are deleted."""

    stay: set[int]
    rows: RowsByTable


@dataclass(frozen=True, kw_only=True)
class SkipLocked:
    """The locks of a batch: rows that another session has locked are skipped, and their trees stay."""

    placement: Placement
    rules: Rules
    batch: Batch

    def lock(self) -> RowsByTable:
        """Lock the batch's rows that exist and are not locked by another session, without waiting; return them."""
        recheck(self.placement, self.rules.model, [self.rules.database])
        return {table: self._locked(table, rows) for table, rows in self.batch.rows.items()}

    def unchanged(self, locked: RowsByTable) -> DecidedBatch:
        """Return the trees whose rows are all locked, as archived, and without new rows below them."""
        stay = self._changed(locked) | self._trees_with_new_rows()
        # From here on the locks keep migrations out.
        session = self.placement.sessions[self.rules.database]
        prove_shape(replace(self.placement, sessions={self.rules.database: session}))
        return DecidedBatch(stay=stay, rows=self.batch.without(stay))

    def delete(self, decided: DecidedBatch, accounts: Accounts) -> None:
        """Delete the trees that do not stay, once their way back was tried."""
        model, database, nothing = self.rules.model, self.rules.database, SelectedRows(identity=(), columns=(), rows=[])
        rows = {table: decided.rows.get(table, nothing) for table in model.of(database)}
        account = accounts[self.placement.sessions[database]]
        with tried_back(self.placement, model, database, rows, account):
            delete(self.placement, model, database, rows, account)

    def _locked(self, table: TableName, rows: SelectedRows) -> SelectedRows:
        shape = self.placement.schemas[table.database].tables[table.table]
        names = SQL(", ").join(map(Identifier, rows.identity))
        query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {} FOR UPDATE SKIP LOCKED").format(
            names, identifier(table.table), among(shape, rows.identity, rows.identities()), names
        )
        locked = self.placement.sessions[table.database].keys(query, doing=f"locking rows of {table}")
        keys = {key if len(key) > 1 else key[0] for key in locked}
        return replace(rows, rows=[row for row, key in zip(rows.rows, rows.identities(), strict=True) if key in keys])

    def _changed(self, locked: RowsByTable) -> set[int]:
        """Return the trees with a row that is not locked, or that differs from the archive."""
        stay: set[int] = set()
        for table, rows in self.batch.rows.items():
            session, shape = self.placement.sessions[table.database], self.placement.schemas[table.database]
            copied = _Lines()
            copy_in_order(session, table, shape.tables[table.table], locked[table], copied)
            live_lines = dict(zip(locked[table].identities(), copied.lines, strict=True))
            archived = zip(rows.identities(), self.batch.lines[table], self.batch.trees[table], strict=True)
            stay.update(tree for key, line, tree in archived if live_lines.get(key) != line)
        return stay

    def _trees_with_new_rows(self) -> set[int]:
        """Return the trees below which there is a row that is not in this batch."""
        stay: set[int] = set()
        for link in self.rules.inner:
            parents = self.batch.rows.get(link.parent)
            if parents is None:
                continue
            key_of, keys = parents.key_of(link.parent_columns), self._keys_with_new_children(link)
            trees = zip(parents.rows, self.batch.trees[link.parent], strict=True)
            stay.update(tree for row, tree in trees if key_of(row) in keys)
        return stay

    def _keys_with_new_children(self, link: Link) -> set[Key]:
        """Return the keys of parents below which there are rows that are not in this batch."""
        rows, shape = self.batch.rows, self.placement.schemas[link.child.database].tables[link.child.table]
        keys = rows[link.parent].values(link.parent_columns)
        below = rows_where(self.placement, self.rules.reachable_model, link.child, among(shape, link.columns, keys))
        batch_identities = set(rows[link.child].identities()) if link.child in rows else set()
        key_in = below.key_in(link)
        return {
            key
            for row, identity in zip(below.rows, below.identities(), strict=True)
            if identity not in batch_identities and (key := key_in(row)) is not None
        }


class _Lines:
    """A sink for COPY, which writes one row at a time."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.write = self.lines.append
