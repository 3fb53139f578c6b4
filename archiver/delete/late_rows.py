"""Find rows added after the proof that refer to deleted rows: without a foreign key no lock prevents that."""

from __future__ import annotations

from collections import Counter

from archiver.catalog.model import SHARD, Link, Model
from archiver.delete.decide import DeletionDecision
from archiver.delete.referenced import externally_referenced
from archiver.postgres.databases import Placement
from archiver.postgres.selection import select
from archiver.records import shard_keys
from archiver.records.archive_record import Record


def appeared(placement: Placement, model: Model, record: Record, decided: DeletionDecision) -> dict[str, int]:
    """Return the number of such rows by table: the tenant's own, and outside rows that refer to a row that had no other
    reference when it was deleted."""
    now = select(placement, model, record.tenant_id, link_values=decided.selection.values)
    more = Counter(
        {str(table): len(rows.rows) - record.kept.get(str(table), 0) for table, rows in now.by_table.items()}
    )
    for link in (*model.links, *model.external_links):
        keys = decided.to_delete[link.child].linked_keys(link)
        if keys and not _leads_to_one(placement, link):
            more[str(link.parent)] += len(externally_referenced(placement, record, now, link, keys))
    return {table: rows for table, rows in more.items() if rows > 0}


def appeared_in_shard(placement: Placement, model: Model, record: Record) -> dict[str, int]:
    """Return the number of the shard's rows that refer to rows deleted there by an earlier run, by table."""
    counts: dict[str, int] = {}
    if placement.shard_session:
        schema = placement.schemas[SHARD]
        for link in shard_keys.unenforced(model, schema):
            rows = sum(shard_keys.late_rows(placement.shard_session, schema, [record], link).values())
            counts[str(link.child)] = max(rows, counts.get(str(link.child), 0))
    return {table: rows for table, rows in counts.items() if rows}


def _leads_to_one(placement: Placement, link: Link) -> bool:
    """True if the link refers to its parent by primary key: that row was deleted as well."""
    parent = placement.schemas[link.parent.database].tables.get(link.parent.table)
    return parent is not None and parent.primary_key == link.parent_columns
