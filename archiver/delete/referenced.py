"""Find the keys of a tenant's rows that live rows outside the tenant refer to."""

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
    """Return those of a link's keys that live rows outside the tenant refer to.

    Searches the tenant's own databases; for a key of master referenced from a shard also every other shard, and the
    interrupted deletions.
    """
    own = placement.sessions[link.parent.database]
    crossing = link.child.database != link.parent.database == SHARD
    other_shards = placement.other_shards if crossing else ()
    named: set[Key] = referenced_by_interrupted(placement, link, [record.id]) & keys if crossing else set()
    for session in (own, *other_shards):
        query = _references(placement, link, keys, selection.by_table.get(link.parent) if session is own else None)
        rows = session.keys(query, doing=f"finding references to {link.child}")
        named |= {row if len(row) > 1 else row[0] for row in rows}
    return named


def _references(placement: Placement, link: Link, keys: set[Key], own: SelectedRows | None) -> Composable:
    """SQL: the link's keys in rows that refer to one of these keys, except the tenant's own rows."""
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
