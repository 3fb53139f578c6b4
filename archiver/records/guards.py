"""Unique and exclusion indexes, and partitions, that keep bad rows out of the product's tables, by turns.

A schema has the checks of its tables, and not these. So each run that archives writes down what it finds, if that is
new: an archive met what stood there at its turn. Of archives from before the first entry nothing is known: what stood
there first counts as theirs.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from archiver.catalog.model import MASTER
from archiver.postgres.databases import Databases
from archiver.postgres.own_schema import exists
from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import Session


@dataclass(frozen=True, kw_only=True)
class Guards:
    """The guards of one table, each as its definition without names."""

    unique: frozenset[str] = frozenset()
    partitions: frozenset[str] = frozenset()  # what the table has room for; empty: it is not partitioned

    def came_since(self, earlier: Guards) -> list[str]:
        """Return what may reject rows that met the earlier ones, each as a sentence's beginning."""
        came = [f"{guard} came" for guard in sorted(self.unique - earlier.unique)]
        if "DEFAULT" not in self.partitions:
            came += [f"the partition {bounds} went" for bounds in sorted(earlier.partitions - self.partitions)]
        return came


GuardsByTable = Mapping[str, Guards]


def read_guards(session: Session, tables: Collection[str]) -> GuardsByTable:
    """Return the guards of these tables; tables without any are left out."""
    rows = session.rows(_GUARDS, (NAMESPACE, list(tables)), doing="reading unique indexes and partitions")
    return {name: Guards(unique=frozenset(unique), partitions=frozenset(bounds)) for name, unique, bounds in rows}


def note(databases: Databases, shards: Collection[str]) -> None:
    """Write down the guards of master and these shards, where they are not those of the last entry."""
    for name in sorted({MASTER, *shards}):
        guards = read_guards(databases.session(name), databases.schema(name).tables)
        content = {
            table: {"unique": sorted(each.unique), "partitions": sorted(each.partitions)}
            for table, each in guards.items()
        }
        text = json.dumps(content)
        databases.master.execute(_NOTE, (name, text, text, name), doing="writing the guards")


@dataclass(frozen=True)
class GuardHistory:
    """All entries: turn and guards by database, in the order of turns."""

    _entries: Mapping[str, list[tuple[int, GuardsByTable]]]

    def at(self, database: str, turn: int) -> GuardsByTable | None:
        """Return the guards that an archive of this turn met; None if nothing is known."""
        entries = self._entries.get(database, [])
        earlier = [guards for number, guards in entries if number < turn]
        return earlier[-1] if earlier else next((guards for _, guards in entries), None)


def history(master: Session) -> GuardHistory:
    """Read the entries; none if no run of this version has archived anything."""
    entries: dict[str, list[tuple[int, GuardsByTable]]] = {}
    if exists(master, "guards"):
        rows = master.rows("SELECT name, turn, tables FROM archiver.guards ORDER BY turn", doing="reading the guards")
        for name, turn, tables in rows:
            guards = {
                table: Guards(unique=frozenset(each["unique"]), partitions=frozenset(each["partitions"]))
                for table, each in tables.items()
            }
            entries.setdefault(name, []).append((turn, guards))
    return GuardHistory(entries)


# The definition from USING on: indexes are often renamed. A partition's bounds, and those of the ones above it.
_GUARDS = """
SELECT c.relname,
       ARRAY(SELECT concat('UNIQUE', substring(pg_catalog.pg_get_indexdef(i.indexrelid) FROM ' USING .*$'))
               FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid
              UNION
             SELECT pg_catalog.pg_get_constraintdef(k.oid)
               FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'x'),
       ARRAY(SELECT (SELECT string_agg(pg_catalog.pg_get_expr(a.relpartbound, a.oid), ', ' ORDER BY u.place DESC)
                       FROM pg_catalog.pg_partition_ancestors(p.relid) WITH ORDINALITY u(above, place)
                       JOIN pg_catalog.pg_class a ON a.oid = u.above AND a.relispartition)
               FROM pg_catalog.pg_partition_tree(c.oid) p WHERE p.isleaf AND p.relid <> c.oid)
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY(%s)
   AND (c.relkind = 'p' OR EXISTS (SELECT FROM pg_catalog.pg_index i
                                    WHERE i.indrelid = c.oid AND (i.indisunique OR i.indisexclusion)))
 ORDER BY c.relname
"""
_NOTE = """
INSERT INTO archiver.guards (name, tables)
SELECT %s, %s::jsonb
 WHERE %s::jsonb IS DISTINCT FROM (SELECT tables FROM archiver.guards WHERE name = %s ORDER BY turn DESC LIMIT 1)
"""
