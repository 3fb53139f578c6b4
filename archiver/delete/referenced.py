"""Which keys of a tenant's rows live rows outside it still name."""

from __future__ import annotations

from archiver.catalog.model import SHARD, Link
from archiver.delete.interrupted import referenced_by_interrupted
from archiver.postgres.databases import Placement
from archiver.postgres.schema import identifier
from archiver.postgres.selection import Key, SelectedRows, Selection, among, holding
from archiver.postgres.session import SQL, Composable, Identifier
from archiver.records.archive_record import Record


def externally_referenced(
    placement: Placement, record: Record, selection: Selection, link: Link, keys: set[Key]
) -> set[Key]:
    """Which of a link's keys some live row outside the tenant names: in its own databases, and from master on every
    other shard, where a key of master may be named as well, also by a deletion that stands half-way."""
    own = placement.sessions[link.parent.database]
    crossing = link.child.database != link.parent.database == SHARD
    elsewhere = placement.other_shards if crossing else ()
    named: set[Key] = referenced_by_interrupted(placement, link, [record.id]) & keys if crossing else set()
    for session in (own, *elsewhere):
        query = _naming(placement, link, keys, selection.by_table.get(link.parent) if session is own else None)
        rows = session.keys(query, doing=f"looking who needs {link.child}")
        named |= {row if len(row) > 1 else row[0] for row in rows}
    return named


def _naming(placement: Placement, link: Link, keys: set[Key], own: SelectedRows | None) -> Composable:
    child = placement.schemas[link.child.database].tables[link.child.table]
    query = SQL("SELECT DISTINCT {} FROM {} WHERE {}").format(
        SQL(", ").join(map(Identifier, link.parent_columns)),
        identifier(link.parent.table),
        holding(link.parent_columns, child, link.columns, keys),
    )
    if own is None or not own.rows:
        return query
    parent = placement.schemas[link.parent.database].tables[link.parent.table]
    return SQL("{} AND NOT ({})").format(query, among(parent, own.identity, own.identities()))
