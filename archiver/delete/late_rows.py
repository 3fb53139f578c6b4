"""Rows that came after the proof and name what went: without a foreign key no lock keeps them out."""

from __future__ import annotations

from collections import Counter

from archiver.catalog.model import Link, Model
from archiver.delete.decide import DeletionDecision
from archiver.delete.referenced import externally_referenced
from archiver.postgres.databases import Placement
from archiver.postgres.selection import select
from archiver.records.archive_record import Record


def appeared(placement: Placement, model: Model, record: Record, decided: DeletionDecision) -> dict[str, int]:
    """How many there are, by table: the tenant's own, and those outside it that name a row of which it was thought
    that nobody else needs it."""
    now = select(placement, model, record.tenant_id, link_values=decided.selection.values)
    more = Counter(
        {str(table): len(rows.rows) - record.kept.get(str(table), 0) for table, rows in now.by_table.items()}
    )
    for link in (*model.links, *model.external_links):
        keys = decided.to_delete[link.child].linked_keys(link)
        if keys and not _leads_to_one(placement, link):
            more[str(link.parent)] += len(externally_referenced(placement, record, now, link, keys))
    return {table: rows for table, rows in more.items() if rows > 0}


def _leads_to_one(placement: Placement, link: Link) -> bool:
    """Whether the link names its parent by key: that row went as well."""
    parent = placement.schemas[link.parent.database].tables.get(link.parent.table)
    return parent is not None and parent.primary_key == link.parent_columns
