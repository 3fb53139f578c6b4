"""Decide whether tables are truncated and reloaded with the rows that stay, or deleted from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.graph import reachable
from archiver.postgres.schema import NAMESPACE, Schema
from archiver.postgres.session import Session

MOST = 0.5  # share of rows to delete from which rewriting the others is cheaper than deleting


@dataclass(frozen=True, kw_only=True)
class JoinedTables:
    """Tables joined by foreign keys: truncated together, or not at all."""

    tables: tuple[str, ...]
    to_delete: int  # rows
    rows: int  # in total, by the server's estimate
    obstacles: tuple[str, ...]  # why they can't be truncated

    @property
    def emptied(self) -> bool:
        """True if the tables are truncated and reloaded."""
        return not self.obstacles and self.to_delete >= MOST * self.rows

    @property
    def reason(self) -> str:
        """The strategy and the reason for it."""
        share = f"{self.to_delete:,} of about {self.rows:,} rows to delete"
        if self.emptied:
            return f"{share}: truncated, and reloaded with the rows that stay"
        return f"{share}: deleted row by row{f' ({self.obstacles[0]})' if self.obstacles else ''}"


def groups(
    session: Session, schema: Schema, to_delete: Mapping[str, int], *, truncate_published: bool = False
) -> list[JoinedTables]:
    """Return the tables with rows to delete, grouped by the foreign keys that join them.

    A table of which a publication publishes TRUNCATE is truncated only with `truncate_published`.
    """
    joined = _joined(schema)
    counts = dict(session.rows(_ROWS, (NAMESPACE, list(to_delete)), doing="reading how many rows there are"))
    obstacles: dict[str, list[str]] = {}
    for table, obstacle in session.rows(
        _OBSTACLES, (NAMESPACE, list(to_delete), truncate_published), doing="reading the tables"
    ):
        obstacles.setdefault(table, []).append(obstacle)
    placed: set[str] = set()
    joined_tables = []
    for table in to_delete:
        if table not in placed:
            tables = tuple(name for name in to_delete if name == table or name in reachable(table, joined))
            placed.update(tables)
            joined_tables.append(_group(tables, to_delete, counts, obstacles))
    return joined_tables


def _group(
    tables: Sequence[str], to_delete: Mapping[str, int], counts: Mapping[str, int], obstacles: Mapping[str, list[str]]
) -> JoinedTables:
    """Return one group with its counts and obstacles."""
    return JoinedTables(
        tables=tuple(tables),
        to_delete=sum(to_delete[name] for name in tables),
        rows=sum(max(counts[name], to_delete[name]) for name in tables),
        obstacles=tuple(obstacle for name in tables for obstacle in obstacles.get(name, ())),
    )


def _joined(schema: Schema) -> dict[str, set[str]]:
    """Return the tables that a foreign key joins to each, in either direction."""
    joined: dict[str, set[str]] = {name: set() for name in schema.tables}
    for table, other in _pairs(schema):
        joined[table].add(other)
        joined[other].add(table)
    return joined


def _pairs(schema: Schema) -> Iterator[tuple[str, str]]:
    """Yield each pair of tables that a foreign key joins."""
    for name, table in schema.tables.items():
        yield from ((name, key.target) for key in table.foreign_keys if key.target in schema.tables)


_ROWS = """
SELECT c.relname, CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint ELSE 0 END
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY(%s)
"""

# Reasons not to truncate and reload a table: it is impossible, or it would change more than the rows.
_OBSTACLES = """
WITH wanted AS (
    SELECT n.nspname, c.* FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
     WHERE n.nspname = %s AND c.relname = ANY(%s)
)
SELECT relname, pg_catalog.format('%%s is partitioned', relname) FROM wanted WHERE relkind = 'p' OR relispartition
UNION ALL
SELECT relname, pg_catalog.format('%%s has tables that inherit from it, or inherits itself', relname) FROM wanted
 WHERE NOT relispartition AND relkind <> 'p'
   AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE oid IN (i.inhparent, i.inhrelid))
UNION ALL
SELECT relname, pg_catalog.format('row security is forced on %%s', relname) FROM wanted
 WHERE relrowsecurity AND relforcerowsecurity
UNION ALL
SELECT relname, pg_catalog.format('%%s is owned by another role', relname) FROM wanted
 WHERE NOT pg_catalog.pg_has_role(relowner, 'USAGE')
UNION ALL
SELECT relname, pg_catalog.format('%%s has rules', relname) FROM wanted WHERE relhasrules
UNION ALL
SELECT w.relname, pg_catalog.format('the foreign key %%s of %%s is owned by another role', k.conname, r.relname)
  FROM wanted w JOIN pg_catalog.pg_constraint k ON k.confrelid = w.oid AND k.contype = 'f'
  JOIN pg_catalog.pg_class r ON r.oid = k.conrelid
 WHERE NOT pg_catalog.pg_has_role(r.relowner, 'USAGE')
UNION ALL
SELECT w.relname, pg_catalog.format('the foreign key %%s of %%s belongs to partitions', k.conname, r.relname)
  FROM wanted w JOIN pg_catalog.pg_constraint k ON k.confrelid = w.oid AND k.contype = 'f'
  JOIN pg_catalog.pg_class r ON r.oid = k.conrelid
 WHERE r.relkind = 'p' OR r.relispartition
UNION ALL
SELECT DISTINCT w.relname, pg_catalog.format('foreign keys of %%s are disabled', w.relname)
  FROM wanted w JOIN pg_catalog.pg_trigger t ON t.tgrelid = w.oid
 WHERE t.tgisinternal AND t.tgenabled <> 'O'
UNION ALL
SELECT w.relname, pg_catalog.format('publication %%s does not publish all that happens to %%s', p.pubname, w.relname)
  FROM wanted w JOIN pg_catalog.pg_publication_tables t ON t.schemaname = w.nspname AND t.tablename = w.relname
  JOIN pg_catalog.pg_publication p USING (pubname)
 WHERE NOT (p.pubinsert AND p.pubdelete AND p.pubtruncate)
UNION ALL
SELECT w.relname, pg_catalog.format('publication %%s would also truncate %%s in its subscribers', p.pubname, w.relname)
  FROM wanted w JOIN pg_catalog.pg_publication_tables t ON t.schemaname = w.nspname AND t.tablename = w.relname
  JOIN pg_catalog.pg_publication p USING (pubname)
 WHERE p.pubtruncate AND NOT %s
"""
