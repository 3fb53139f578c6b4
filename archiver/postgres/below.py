"""Relations below a table, whose rows it seems to hold: children that inherit from it, and foreign partitions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import Session


@dataclass(frozen=True, kw_only=True)
class Below:
    """A relation whose rows are read, deleted or truncated with a table, and cannot be archived as the table's."""

    table: str
    name: str  # with its namespace if that is not the product's
    partition: bool
    foreign: bool  # its rows are on another server
    method: str  # the access method that stores it; empty for a foreign table

    def __str__(self) -> str:
        if not self.partition and self.name != self.table:
            return (
                f"{self.name} inherits it, and its rows are read and deleted as rows of {self.table}. "
                f"First run: ALTER TABLE {self.name} NO INHERIT {self.table}"
            )
        if self.foreign:
            return (
                f"its partition {self.name} is a foreign table, whose rows are on another server. "
                f"First run: ALTER TABLE {self.table} DETACH PARTITION {self.name}"
            )
        return (
            f"{self.name} is stored by {self.method}, which has no row versions to compare. "
            f"First run: ALTER TABLE {self.name} SET ACCESS METHOD heap"
        )


def read_below(session: Session) -> tuple[Below, ...]:
    """Return every such relation below the product's tables, in one query."""
    return tuple(
        Below(table=table, name=name, partition=partition, foreign=foreign, method=method)
        for table, name, partition, foreign, method in session.rows(
            _BELOW, (NAMESPACE, NAMESPACE), doing="reading what lies below the tables"
        )
    )


def below_any(session: Session, tables: Collection[str]) -> list[str]:
    """Return a line for each relation below one of these tables."""
    return [f"{below.table}: {below}" for below in read_below(session) if below.table in tables]


_BELOW = """
SELECT r.relname, CASE WHEN s.nspname = %s THEN c.relname ELSE format('%%s.%%s', s.nspname, c.relname) END,
       c.relispartition, c.relkind = 'f', coalesce(a.amname, '')
  FROM pg_class c
  JOIN pg_namespace s ON s.oid = c.relnamespace
  LEFT JOIN pg_am a ON a.oid = c.relam
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
  JOIN pg_class r ON r.oid = coalesce(pg_partition_root(c.oid), i.inhparent, c.oid)
  JOIN pg_namespace n ON n.oid = r.relnamespace
 WHERE n.nspname = %s AND c.relkind IN ('r', 'f') AND c.relpersistence <> 't'
   AND (r.oid <> c.oid AND (c.relkind = 'f' OR NOT c.relispartition) OR c.relkind = 'r' AND a.amname <> 'heap')
 ORDER BY r.relname, 2
"""
