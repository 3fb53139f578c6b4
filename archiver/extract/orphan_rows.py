"""Orphan rows of activity: their parent does not exist, or they name none."""

from __future__ import annotations

from itertools import count

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import MASTER, Link, Model, TableName
from archiver.postgres.databases import Placement
from archiver.postgres.schema import identifier
from archiver.postgres.selection import Key, SelectedRows, among, matched, narrowed, rows_where
from archiver.postgres.session import SQL, Composable, Identifier
from archiver.records import archive_record, move_record
from archiver.records.state import State
from errors import RefusedError
from inventory.keys import typed


def orphan_rows(placement: Placement, rules: Rules) -> dict[TableName, SelectedRows]:
    """Return all orphan rows and the rows below them, read in the caller's snapshots.

    Raises RefusedError while a tenant is half restored or half moved: its rows would look like orphan rows.
    """
    selected: dict[TableName, SelectedRows] = {}
    for table in rules.tables:
        [link] = rules.reachable_model.found_by(table)
        where = (
            _no_parent(placement, rules, link)
            if link in rules.entries
            else _below(placement, link, selected[link.parent])
        )
        selected[table] = rows_where(placement, rules.reachable_model, table, where)
    return selected


def _no_parent(placement: Placement, rules: Rules, link: Link) -> Composable:
    """SQL: a row names no parent outside of activity, or one that no tenant leads to."""
    query = SQL("SELECT DISTINCT {} FROM {} WHERE ({}) IS NOT NULL").format(
        _listed(link.columns), identifier(link.child.table), _listed(link.columns)
    )
    named = _keys(placement, link.child, query, doing=f"reading the parents that {link.child} names")
    # Master's snapshot is later than the shard's: the owner of any row seen on the shard is in it, or half restored.
    _refuse_half_way(placement, rules.model.tenant.noun)
    missing = named - _owned(placement, rules.reachable_model, link, named)
    shape = placement.schemas[link.child.database].tables[link.child.table]
    return SQL("({}) IS NULL OR {}").format(_listed(link.columns), among(shape, link.columns, missing))


def _refuse_half_way(placement: Placement, noun: str) -> None:
    # On any shard: after a merge, a tenant's shard is not the one in its record.
    for record in archive_record.read_if_any(placement.master, state=State.RESTORING):
        raise RefusedError(
            f"{noun.capitalize()} {record.tenant_id} is half restored: rows of no {noun} stay on {placement.shard}.",
            hint=f"Finish that first: inv restore.school {typed(record.tenant_id)}",
        )
    half_moved = move_record.half_moved(placement.master)
    move_record.refuse_half_moved(
        placement.master, noun, [move.tenant_id for move in half_moved if placement.shard in (move.source, move.target)]
    )


def _owned(placement: Placement, model: Model, link: Link, named: set[Key]) -> set[Key]:
    """Return those of the keys whose rows belong to a tenant."""
    shape = placement.schemas[MASTER].tables[link.parent.table]
    query = SQL("SELECT {} FROM {} p WHERE {} AND {}").format(
        SQL(", ").join(Identifier("p", name) for name in link.parent_columns),
        identifier(link.parent.table),
        among(shape, link.parent_columns, named),
        _leads_up(model, link.parent, "p", count()),
    )
    return _keys(placement, link.parent, query, doing=f"looking for the named rows of {link.parent}")


def _leads_up(model: Model, table: TableName, alias: str, numbers: count[int]) -> Composable:
    """SQL: a row of master belongs to a tenant."""
    if table == model.root:
        return SQL("true")
    conditions = []
    for link in model.found_by(table):
        parent = f"p{next(numbers)}"
        exists = SQL("EXISTS (SELECT FROM {} {} WHERE {} AND {})").format(
            identifier(link.parent.table),
            SQL(parent),
            matched(link, alias, parent),
            _leads_up(model, link.parent, parent, numbers),
        )
        conditions.append(narrowed(exists, link, alias))
    return SQL("({})").format(SQL(" OR ").join(conditions))


def _below(placement: Placement, link: Link, parents: SelectedRows) -> Composable:
    """SQL: a row's parent does not exist, or is an orphan row itself."""
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
