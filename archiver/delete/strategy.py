"""Whether tables can be emptied and filled again with what stays, and whether it pays; else rows are deleted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.graph import reachable
from archiver.postgres.schema import NAMESPACE, Schema
from archiver.postgres.session import Session

MOST = 0.5  # of the rows: from here on it is cheaper to write what stays than to delete what goes


@dataclass(frozen=True, kw_only=True)
class JoinedTables:
    """Tables that foreign keys join: emptied together, or not at all."""

    tables: tuple[str, ...]
    to_delete: int  # rows
    rows: int  # in all, as the server estimates
    obstacles: tuple[str, ...]  # why they can't be emptied

    @property
    def emptied(self) -> bool:
        """Whether the tables are emptied and filled again."""
        return not self.obstacles and self.to_delete >= MOST * self.rows

    @property
    def reason(self) -> str:
        """What is done, and why."""
        share = f"{self.to_delete:,} of about {self.rows:,} rows go"
        if self.emptied:
            return f"{share}: emptied, and filled with what stays"
        return f"{share}: deleted one by one{f' ({self.obstacles[0]})' if self.obstacles else ''}"


def groups(session: Session, schema: Schema, going: Mapping[str, int]) -> list[JoinedTables]:
    """The tables of which rows go, by what joins them."""
    joined = _joined(schema)
    counts = dict(session.rows(_ROWS, (NAMESPACE, list(going)), doing="reading how many rows there are"))
    obstacles: dict[str, list[str]] = {}
    for table, obstacle in session.rows(_OBSTACLES, (NAMESPACE, list(going)), doing="reading the tables"):
        obstacles.setdefault(table, []).append(obstacle)
    placed: set[str] = set()
    found = []
    for table in going:
        if table not in placed:
            tables = tuple(name for name in going if name == table or name in reachable(table, joined))
            placed.update(tables)
            found.append(_group(tables, going, counts, obstacles))
    return found


def _group(
    tables: Sequence[str], going: Mapping[str, int], counts: Mapping[str, int], obstacles: Mapping[str, list[str]]
) -> JoinedTables:
    return JoinedTables(
        tables=tuple(tables),
        to_delete=sum(going[name] for name in tables),
        rows=sum(max(counts[name], going[name]) for name in tables),
        obstacles=tuple(obstacle for name in tables for obstacle in obstacles.get(name, ())),
    )


def _joined(schema: Schema) -> dict[str, set[str]]:
    """Which tables a foreign key joins, in either direction."""
    joined: dict[str, set[str]] = {name: set() for name in schema.tables}
    for one, other in _pairs(schema):
        joined[one].add(other)
        joined[other].add(one)
    return joined


def _pairs(schema: Schema) -> Iterator[tuple[str, str]]:
    for name, table in schema.tables.items():
        yield from ((name, key.target) for key in table.foreign_keys if key.target in schema.tables)


_ROWS = """
SELECT c.relname, CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint ELSE 0 END
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY(%s)
"""

# What emptying a table, or filling it again, would change or can't be allowed to do.
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
SELECT relname, pg_catalog.format('%%s is another role''s', relname) FROM wanted
 WHERE NOT pg_catalog.pg_has_role(relowner, 'USAGE')
UNION ALL
SELECT relname, pg_catalog.format('%%s has rules', relname) FROM wanted WHERE relhasrules
UNION ALL
SELECT w.relname, pg_catalog.format('the foreign key %%s of %%s is another role''s', k.conname, r.relname)
  FROM wanted w JOIN pg_catalog.pg_constraint k ON k.confrelid = w.oid AND k.contype = 'f'
  JOIN pg_catalog.pg_class r ON r.oid = k.conrelid
 WHERE NOT pg_catalog.pg_has_role(r.relowner, 'USAGE')
UNION ALL
SELECT w.relname, pg_catalog.format('the foreign key %%s of %%s belongs to partitions', k.conname, r.relname)
  FROM wanted w JOIN pg_catalog.pg_constraint k ON k.confrelid = w.oid AND k.contype = 'f'
  JOIN pg_catalog.pg_class r ON r.oid = k.conrelid
 WHERE r.relkind = 'p' OR r.relispartition
UNION ALL
SELECT DISTINCT w.relname, pg_catalog.format('somebody switched foreign keys of %%s off', w.relname)
  FROM wanted w JOIN pg_catalog.pg_trigger t ON t.tgrelid = w.oid
 WHERE t.tgisinternal AND t.tgenabled <> 'O'
UNION ALL
SELECT w.relname, pg_catalog.format('publication %%s does not publish all that happens to %%s', p.pubname, w.relname)
  FROM wanted w JOIN pg_catalog.pg_publication_tables t ON t.schemaname = w.nspname AND t.tablename = w.relname
  JOIN pg_catalog.pg_publication p USING (pubname)
 WHERE NOT (p.pubinsert AND p.pubdelete AND p.pubtruncate)
"""
