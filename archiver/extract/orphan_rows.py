"""Rows of activity that are no tenant's: whose parent is gone, or was never named."""

from __future__ import annotations

from itertools import count

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import MASTER, Link, Model, TableName
from archiver.postgres.databases import Placement
from archiver.postgres.schema import identifier
from archiver.postgres.selection import Key, SelectedRows, among, matched, narrowed, rows_where
from archiver.postgres.session import SQL, Composable, Identifier
from archiver.records import archive_record, move_record
from archiver.records.archive_record import ArchiveState
from errors import RefusedError


def orphan_rows(placement: Placement, rules: Rules) -> dict[TableName, SelectedRows]:
    """All of them, and what is below them, found in the caller's snapshots.

    Raises RefusedError where a tenant is half restored: its rows would be taken for such.
    """
    found: dict[TableName, SelectedRows] = {}
    for table in rules.tables:
        [link] = rules.reachable_model.found_by(table)
        where = (
            _of_gone(placement, rules, link) if link in rules.entries else _below(placement, link, found[link.parent])
        )
        found[table] = rows_where(placement, rules.reachable_model, table, where)
    return found


def _of_gone(placement: Placement, rules: Rules, link: Link) -> Composable:
    """That a row names nobody outside of activity, or somebody who is gone."""
    query = SQL("SELECT DISTINCT {} FROM {} WHERE ({}) IS NOT NULL").format(
        _listed(link.columns), identifier(link.child.table), _listed(link.columns)
    )
    named = _keys(placement, link.child, query, doing=f"looking whom {link.child} names")
    # Master's moment is later than the shard's: whose rows came there by then is there now, or is still coming.
    _refuse_half_way(placement, rules.model.tenant.noun)
    gone = named - _owned(placement, rules.reachable_model, link, named)
    shape = placement.schemas[link.child.database].tables[link.child.table]
    return SQL("({}) IS NULL OR {}").format(_listed(link.columns), among(shape, link.columns, gone))


def _refuse_half_way(placement: Placement, noun: str) -> None:
    # On whichever shard: since a merge that is not the one its record names.
    for record in archive_record.read_if_any(placement.master, state=ArchiveState.RESTORING):
        raise RefusedError(
            f"{noun.capitalize()} {record.tenant_id} is half restored: rows of no {noun} stay on {placement.shard}.",
            hint=f"End that first: inv restore.{noun} {record.tenant_id}",
        )
    half_moved = move_record.half_moved(placement.master)
    move_record.refuse_half_moved(
        placement.master, noun, [m.tenant_id for m in half_moved if placement.shard in (m.source, m.target)]
    )


def _owned(placement: Placement, model: Model, link: Link, named: set[Key]) -> set[Key]:
    """Which of these keys are of rows that a tenant leads to."""
    shape = placement.schemas[MASTER].tables[link.parent.table]
    query = SQL("SELECT {} FROM {} p WHERE {} AND {}").format(
        SQL(", ").join(Identifier("p", name) for name in link.parent_columns),
        identifier(link.parent.table),
        among(shape, link.parent_columns, named),
        _leads_up(model, link.parent, "p", count()),
    )
    return _keys(placement, link.parent, query, doing=f"looking who of {link.parent} is there")


def _leads_up(model: Model, table: TableName, alias: str, numbers: count[int]) -> Composable:
    """That a tenant leads to a row of master."""
    if table == model.root:
        return SQL("true")
    ways = []
    for link in model.found_by(table):
        parent = f"p{next(numbers)}"
        there = SQL("EXISTS (SELECT FROM {} {} WHERE {} AND {})").format(
            identifier(link.parent.table),
            SQL(parent),
            matched(link, alias, parent),
            _leads_up(model, link.parent, parent, numbers),
        )
        ways.append(narrowed(there, link, alias))
    return SQL("({})").format(SQL(" OR ").join(ways))


def _below(placement: Placement, link: Link, parents: SelectedRows) -> Composable:
    """That a row's parent is not there, or is ownerless itself."""
    shape = placement.schemas[link.child.database].tables[link.child.table]
    return SQL("NOT EXISTS (SELECT FROM {} p WHERE {}) OR {}").format(
        identifier(link.parent.table),
        matched(link, link.child.table, "p"),
        among(shape, link.columns, parents.values(link.parent_columns)),
    )


def _listed(columns: tuple[str, ...]) -> Composable:
    return SQL(", ").join(map(Identifier, columns))


def _keys(placement: Placement, table: TableName, query: Composable, *, doing: str) -> set[Key]:
    rows = placement.sessions[table.database].keys(query, doing=doing)
    return {row if len(row) > 1 else row[0] for row in rows}
