"""Which of a tenant's rows may go, and which stay because a live row outside needs them; pure but for one look."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from archiver.catalog import Link, Model, TableName
from archiver.selection import Rows, Selection, Values
from inventory.model import Depth

Live = Callable[[Link, set[Any]], set[Any]]  # of these values of a link, which a live row outside the tenant names


def deletable(
    model: Model, depth: Depth, selection: Selection, live: Live, went: Values | None = None
) -> Mapping[TableName, Rows]:
    """The rows that go: found below the depth's start by a row that goes, and needed by no row that stays.

    `went` are values of links whose parents went in an earlier transaction.
    """
    below, start = model.below(depth), model.depths[depth].start
    gone: dict[TableName, Rows] = {}
    for table in model.tables:
        rows = selection.found[table]
        if table.table == start:
            gone[table] = rows
        elif table in below:
            gone[table] = _only(rows, _going(model, table, selection, gone, live, went or {}))
        else:
            gone[table] = _only(rows, [])
    return gone


def _going(
    model: Model,
    table: TableName,
    selection: Selection,
    gone: Mapping[TableName, Rows],
    live: Live,
    went: Values,
) -> list[tuple[Any, ...]]:
    rows = selection.found[table]
    links = [
        (link, set(went.get(link) or gone[link.parent].values(link.parent_column))) for link in model.found_by(table)
    ]
    reached = [row for row in rows.rows if any(_value(rows, row, link) in parents for link, parents in links)]
    for link in model.needed_by(table):
        needed = _needed(link, _only(rows, reached), selection, gone, live)
        reached = [row for row in reached if _value(rows, row, link) not in needed]
    return reached


def _needed(link: Link, rows: Rows, selection: Selection, gone: Mapping[TableName, Rows], live: Live) -> set[Any]:
    """The values of a link that name a row which stays: one of the tenant's own, or one outside."""
    values = {value for row in rows.rows if (value := _value(rows, row, link)) is not None}
    if not values:
        return set()
    staying: set[Any] = set()
    if link.parent in selection.found:
        found = selection.found[link.parent]
        going = set(gone[link.parent].rows)
        place = found.columns.index(link.parent_column)
        staying = {row[place] for row in found.rows if row not in going}
    return (values & staying) | live(link, values)


def _value(rows: Rows, row: tuple[Any, ...], link: Link) -> Any:
    """What the row says in a link's column; None where the link's condition does not hold for it."""
    if link.where and str(row[rows.columns.index(link.where[0])]) != link.where[1]:
        return None
    return row[rows.columns.index(link.column)]


def _only(rows: Rows, kept: list[tuple[Any, ...]]) -> Rows:
    return Rows(identity=rows.identity, columns=rows.columns, rows=kept)
