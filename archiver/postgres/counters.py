"""The server's own counters of the rows that a transaction inserts, updates and deletes, by table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import Session


@dataclass(frozen=True, kw_only=True)
class Changes:
    """The rows of one table that a transaction changes."""

    inserted: int = 0
    updated: int = 0
    deleted: int = 0

    def __add__(self, other: Changes) -> Changes:
        """Return the sum of both."""
        return Changes(
            inserted=self.inserted + other.inserted,
            updated=self.updated + other.updated,
            deleted=self.deleted + other.deleted,
        )

    def __sub__(self, other: Changes) -> Changes:
        """Return the difference of both."""
        return Changes(
            inserted=self.inserted - other.inserted,
            updated=self.updated - other.updated,
            deleted=self.deleted - other.deleted,
        )

    def __str__(self) -> str:
        counts = ((self.inserted, "inserted"), (self.updated, "updated"), (self.deleted, "deleted"))
        return ", ".join(f"{rows:,} {verb}" for rows, verb in counts if rows) or "none"


NONE = Changes()


class Relation(NamedTuple):
    """A table by its schema and name; a partition counts as its root."""

    schema: str
    table: str

    def __str__(self) -> str:
        return self.table if self.schema == NAMESPACE else f"{self.schema}.{self.table}"


def relation_of(name: str) -> Relation:
    """Return a table by its name in the catalog: `visits`, or `crm.visits` in another schema."""
    schema, dot, table = name.partition(".")
    return Relation(schema, table) if dot else Relation(NAMESPACE, name)


@dataclass(frozen=True)
class Count:
    """The counters of one table that has rows of its own."""

    file: int  # a TRUNCATE and a rewrite give the table another one
    relation: Relation
    changes: Changes


Counts = Mapping[int, Count]  # by the table's OID


def read_counters(session: Session, *, only: str | None = None) -> Counts:
    """Return the counters of all user tables, or of those in one schema, for the current transaction.

    They hold what earlier transactions of the session have not yet reported: only differences mean something.
    """
    rows = session.rows(_COUNTERS, (only, only), doing="reading the counters of all tables")
    return {
        oid: Count(file, Relation(schema, table), Changes(inserted=inserted, updated=updated, deleted=deleted))
        for oid, file, schema, table, inserted, updated, deleted in rows
    }


def differences(before: Counts, now: Counts) -> dict[Relation, Changes]:
    """Return what changed between two readings, by table; tables without changes are left out."""
    by_relation: dict[Relation, Changes] = {}
    for oid, count in now.items():
        changes = count.changes - before[oid].changes if oid in before else count.changes
        if changes != NONE:
            by_relation[count.relation] = by_relation.get(count.relation, NONE) + changes
    return by_relation


def emptied(session: Session, before: Counts, now: Counts) -> set[Relation]:
    """Return the tables that this transaction truncated, rewrote or dropped: they have another file, or none.

    Counters do not show a TRUNCATE. Another session may do the same meanwhile; this one holds ACCESS EXCLUSIVE for it.
    """
    others = [oid for oid, count in before.items() if oid not in now or now[oid].file != count.file]
    locked = session.rows(_LOCKED, (others,), doing="reading the locks") if others else []
    return {before[oid].relation for (oid,) in locked}


# pg_stat_xact_user_tables is the same, and slower. Large objects are rows of the product too.
_COUNTERS = """
SELECT c.oid::bigint, c.relfilenode::bigint, n.nspname, r.relname, pg_stat_get_xact_tuples_inserted(c.oid),
       pg_stat_get_xact_tuples_updated(c.oid), pg_stat_get_xact_tuples_deleted(c.oid)
  FROM pg_class c
  JOIN pg_class r ON r.oid = CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END
  JOIN pg_namespace n ON n.oid = r.relnamespace
 WHERE c.relkind IN ('r', 'm') AND c.relpersistence <> 't'
   AND (n.nspname NOT IN ('pg_catalog', 'information_schema') OR c.relname = 'pg_largeobject')
   AND (%s::text IS NULL OR n.nspname = %s)
"""
_LOCKED = """
SELECT DISTINCT relation::bigint FROM pg_locks
 WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode = 'AccessExclusiveLock' AND granted
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database()) AND relation::bigint = ANY(%s)
"""
