"""Decide which of a tenant's rows to delete: a row stays if a live row outside refers to it; pure but for a query."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from archiver.catalog.model import Link, Model, TableName
from archiver.postgres.selection import Key, SelectedRows, Selection, Values

Live = Callable[[Link, set[Key]], set[Key]]  # returns those of a link's keys that live rows outside the tenant refer to
Row = tuple[Any, ...]


def deletable(
    model: Model, depth: str, selection: Selection, live: Live, deleted_keys: Values | None = None
) -> Mapping[TableName, SelectedRows]:
    """Return the rows to delete: a deleted row leads to them, and no row that stays refers to them.

    The rows of the depth's start are deleted in any case. `deleted_keys` are keys of links whose parents were deleted
    in an earlier transaction.
    """
    start, first = model.start(depth), selection.by_table[model.root]
    if start != model.root:  # a row of the start may belong to another tenant too
        first = _deleted_from(model, model.root, set(model.tables), first, selection, live, deleted_keys or {})[start]
    return _deleted_from(model, start, model.below(depth), first, selection, live, deleted_keys or {})


def _deleted_from(
    model: Model,
    start: TableName,
    below: Collection[TableName],
    first: SelectedRows,
    selection: Selection,
    live: Live,
    deleted_keys: Values,
) -> Mapping[TableName, SelectedRows]:
    """Return the first rows, deleted in any case, and the rows of the tables below that are deleted with them."""
    deleted: dict[TableName, SelectedRows] = {}
    for table in model.tables:
        if table == start:
            deleted[table] = first
        elif table in below:
            deleted[table] = _only(
                selection.by_table[table], _to_delete(model, table, selection, deleted, live, deleted_keys)
            )
        else:
            deleted[table] = _only(selection.by_table[table], [])
    return deleted


def _to_delete(
    model: Model,
    table: TableName,
    selection: Selection,
    deleted: Mapping[TableName, SelectedRows],
    live: Live,
    deleted_keys: Values,
) -> Sequence[Row]:
    """Return the rows of one table to delete."""
    rows = selection.by_table[table]
    remaining = _reached(model, rows, table, {**deleted, table: rows}, deleted_keys)
    for link in model.referenced_by(table):
        remaining = _without(rows, remaining, link, partial(live, link))
    remaining = _without_own_references(model, table, selection, deleted, remaining)
    if any(link.recursive for link in model.referenced_by(table)):
        remaining = _fixed_point(model, table, selection, deleted, remaining, deleted_keys)
    return remaining


def _fixed_point(
    model: Model,
    table: TableName,
    selection: Selection,
    deleted: Mapping[TableName, SelectedRows],
    remaining: Sequence[Row],
    deleted_keys: Values,
) -> Sequence[Row]:
    """Drop rows of a table that refers to itself until a deleted row leads to each, and only deleted rows need it."""
    while True:
        rows = _only(selection.by_table[table], remaining)
        left = _reached(model, rows, table, {**deleted, table: rows}, deleted_keys)
        left = _without_own_references(model, table, selection, {**deleted, table: _only(rows, left)}, left)
        if len(left) == len(remaining):
            return left
        remaining = left


def _reached(
    model: Model, rows: SelectedRows, table: TableName, deleted: Mapping[TableName, SelectedRows], deleted_keys: Values
) -> Sequence[Row]:
    """Return the rows that a deleted row leads to."""
    keys = [
        (rows.key_in(link), set(deleted_keys.get(link) or deleted[link.parent].values(link.parent_columns)))
        for link in model.found_by(table)
    ]
    return [row for row in rows.rows if any(key_of(row) in parents for key_of, parents in keys)]


def _without_own_references(
    model: Model,
    table: TableName,
    selection: Selection,
    deleted: Mapping[TableName, SelectedRows],
    remaining: Sequence[Row],
) -> Sequence[Row]:
    """Drop the rows that a row of the tenant that stays refers to."""
    rows = selection.by_table[table]
    for link in model.referenced_by(table):
        if link.parent in deleted:
            parents, deleted_rows = selection.by_table[link.parent], set(deleted[link.parent].rows)
            stay = set(
                _only(parents, [row for row in parents.rows if row not in deleted_rows]).values(link.parent_columns)
            )
            remaining = _without(rows, remaining, link, stay.intersection)
    return remaining


def _without(
    rows: SelectedRows, remaining: Sequence[Row], link: Link, needed: Callable[[set[Key]], set[Key]]
) -> Sequence[Row]:
    """Drop the rows whose key in a link is still needed."""
    key_of, keys = rows.key_in(link), _only(rows, remaining).linked_keys(link)
    staying = needed(keys) if keys else set()
    return [row for row in remaining if key_of(row) not in staying] if staying else remaining


def _only(rows: SelectedRows, chosen: Sequence[Row]) -> SelectedRows:
    """Return the selection with these rows only."""
    return replace(rows, rows=chosen)
