"""Publications of a live database that let no row of a table be deleted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archiver.catalog.model import Model, TableName
from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import Session


@dataclass(frozen=True, kw_only=True)
class Unidentified:
    """A published table, or a partition of it, without replica identity: PostgreSQL refuses what is published of it."""

    table: str
    relation: str  # the table itself or the partition
    publication: str
    deletes: bool  # deletions are published
    updates: bool


def read_unidentified(session: Session) -> tuple[Unidentified, ...]:
    """Return all of them, in one query."""
    rows = session.rows(_UNIDENTIFIED, (NAMESPACE,), doing="reading the publications")
    return tuple(
        Unidentified(table=table, relation=relation, publication=publication, deletes=deletes, updates=updates)
        for table, relation, publication, deletes, updates in rows
    )


def undeletable(model: Model, kind: str, unidentified: tuple[Unidentified, ...]) -> Iterator[str]:
    """Yield carried tables from which no row can be deleted, and a tenants' table that no move can update."""
    for published in unidentified:
        table, what = TableName(kind, published.table), "deletions" if published.deletes else "updates"
        moved = table == model.root and model.tenant.shard is not None and published.updates
        if table in model.tables and (published.deletes or moved):
            yield (
                f"{table}: the publication {published.publication} publishes {what}, which PostgreSQL refuses for "
                f"{published.relation}: it has no replica identity. "
                f"First run: ALTER TABLE {published.relation} REPLICA IDENTITY FULL"
            )


# A partition is published with its ancestors.
_UNIDENTIFIED = """
SELECT DISTINCT r.relname, c.relname, p.pubname, p.pubdelete, p.pubupdate
  FROM pg_publication p
  JOIN pg_publication_tables t USING (pubname)
  JOIN pg_namespace s ON s.nspname = t.schemaname
  JOIN pg_class published ON published.relname = t.tablename AND published.relnamespace = s.oid
  JOIN pg_class c ON c.relkind = 'r'
                 AND (c.oid = published.oid OR published.oid IN (SELECT pg_partition_ancestors(c.oid)))
  JOIN pg_class r ON r.oid = coalesce(pg_partition_root(c.oid), c.oid)
  JOIN pg_namespace n ON n.oid = r.relnamespace
 WHERE n.nspname = %s AND (p.pubdelete OR p.pubupdate)
   AND (c.relreplident = 'n'
     OR c.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
     OR c.relreplident = 'i' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident))
 ORDER BY 1, 2, 3
"""
