"""Which of a tenant's rows may go, and which stay because a live row outside needs them; pure but for one look."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from archiver.catalog.model import Link, Model, TableName
from archiver.postgres.selection import Key, SelectedRows, Selection, Values
from inventory.model import Depth

Live = Callable[[Link, set[Key]], set[Key]]  # of these keys of a link, which a live row outside the tenant names
Row = tuple[Any, ...]


def deletable(
    model: Model, depth: Depth, selection: Selection, live: Live, went: Values | None = None
) -> Mapping[TableName, SelectedRows]:
    """The rows that go: found below the depth's start by a row that goes, and needed by no row that stays.

    `went` are keys of links whose parents went in an earlier transaction.
    """
    start, first = model.start(depth), selection.by_table[model.root]
    if start != model.root:  # a row to start from may be another tenant's as well
        first = _gone(model, model.root, set(model.tables), first, selection, live, went or {})[start]
    return _gone(model, start, model.below(depth), first, selection, live, went or {})


def _gone(
    model: Model,
    start: TableName,
    below: Collection[TableName],
    first: SelectedRows,
    selection: Selection,
    live: Live,
    went: Values,
) -> Mapping[TableName, SelectedRows]:
    """The first rows, which go in any case, and those that go with them from the tables below."""
    gone: dict[TableName, SelectedRows] = {}
    for table in model.tables:
        if table == start:
            gone[table] = first
        elif table in below:
            gone[table] = _only(selection.by_table[table], _going(model, table, selection, gone, live, went))
        else:
            gone[table] = _only(selection.by_table[table], [])
    return gone


def _going(
    model: Model,
    table: TableName,
    selection: Selection,
    gone: Mapping[TableName, SelectedRows],
    live: Live,
    went: Values,
) -> Sequence[Row]:
    rows = selection.by_table[table]
    going = _reached(model, rows, table, {**gone, table: rows}, went)
    for link in model.referenced_by(table):
        going = _without(rows, going, link, partial(live, link))
    going = _unneeded(model, table, selection, gone, going)
    if any(link.recursive for link in model.referenced_by(table)):
        going = _settled(model, table, selection, gone, going, went)
    return going


def _settled(
    model: Model,
    table: TableName,
    selection: Selection,
    gone: Mapping[TableName, SelectedRows],
    going: Sequence[Row],
    went: Values,
) -> Sequence[Row]:
    """Where rows of a table lead to others of it: until each that goes is reached and needed by such rows only."""
    while True:
        rows = _only(selection.by_table[table], going)
        left = _reached(model, rows, table, {**gone, table: rows}, went)
        left = _unneeded(model, table, selection, {**gone, table: _only(rows, left)}, left)
        if len(left) == len(going):
            return left
        going = left


def _reached(
    model: Model, rows: SelectedRows, table: TableName, gone: Mapping[TableName, SelectedRows], went: Values
) -> Sequence[Row]:
    """The rows that a row which goes leads to."""
    keys = [
        (rows.key_in(link), set(went.get(link) or gone[link.parent].values(link.parent_columns)))
        for link in model.found_by(table)
    ]
    return [row for row in rows.rows if any(key_of(row) in parents for key_of, parents in keys)]


def _unneeded(
    model: Model, table: TableName, selection: Selection, gone: Mapping[TableName, SelectedRows], going: Sequence[Row]
) -> Sequence[Row]:
    """Those that none of the tenant's own rows needs which stays."""
    rows = selection.by_table[table]
    for link in model.referenced_by(table):
        if link.parent in gone:
            found, goes = selection.by_table[link.parent], set(gone[link.parent].rows)
            stay = set(_only(found, [row for row in found.rows if row not in goes]).values(link.parent_columns))
            going = _without(rows, going, link, stay.intersection)
    return going


def _without(
    rows: SelectedRows, going: Sequence[Row], link: Link, needed: Callable[[set[Key]], set[Key]]
) -> Sequence[Row]:
    """Those of them whose key in a link nobody needs."""
    key_of, keys = rows.key_in(link), _only(rows, going).linked_keys(link)
    staying = needed(keys) if keys else set()
    return [row for row in going if key_of(row) not in staying] if staying else going


def _only(rows: SelectedRows, chosen: Sequence[Row]) -> SelectedRows:
    return replace(rows, rows=chosen)
