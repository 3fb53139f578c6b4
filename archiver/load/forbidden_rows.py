"""Find archived rows that a table of today would reject by themselves: by a CHECK, or for want of a partition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archiver.catalog.model import TableName
from archiver.load.row_labels import id_text
from archiver.load.staged import Staged
from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import SQL, Composable, Session
from formatting import first_few


@dataclass(frozen=True, kw_only=True)
class ForbiddenRows:
    """Archived rows that a table rejects; shows keys only, no values."""

    table: TableName
    why: str  # a sentence's end
    keys: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.table}: {self.why}: archived {first_few(self.keys)}"


def forbidden_rows(session: Session, staged: Mapping[str, Staged]) -> list[ForbiddenRows]:
    """Return the missing rows that today's tables would reject, for one database's staged tables."""
    forbidden = []
    for table, why, condition in _conditions(session, staged):
        rows = session.rows(_breaking(staged[table], condition), doing=f"trying the rows of {table}")
        if rows:
            forbidden.append(ForbiddenRows(table=staged[table].table, why=why, keys=tuple(row[0] for row in rows)))
    return forbidden


def _conditions(session: Session, staged: Mapping[str, Staged]) -> Iterator[tuple[str, str, Composable]]:
    """Yield each table with a condition that its rows must meet, as far as the archive has its columns."""
    names = (NAMESPACE, list(staged))
    for table, constraint, expression, columns in session.rows(_CHECKS, names, doing="reading the constraints"):
        if staged[table].column_names.issuperset(columns):
            yield table, f"the constraint {constraint} forbids rows", SQL(expression)
    for table, partitions in session.rows(_PARTITIONS, names, doing="reading the partitions"):
        fits = SQL(" OR ").join(SQL("({})").format(SQL(text)) for text in partitions) if partitions else SQL("false")
        yield table, "there is no partition for rows", SQL("coalesce({}, false)").format(fits)


def _breaking(staged: Staged, condition: Composable) -> Composable:
    """SQL: the keys of the missing rows for which a condition is false."""
    return SQL("SELECT {} FROM ({}) r WHERE NOT ({}) ORDER BY 1").format(
        id_text(staged.shape, staged.shape.primary_key, "r"), staged.missing, condition
    )


_CHECKS = """
SELECT c.relname, k.conname, pg_get_expr(k.conbin, k.conrelid),
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey))
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY(%s) AND k.contype = 'c'
   AND coalesce((to_jsonb(k) ->> 'conenforced')::boolean, true)
 ORDER BY 1, 2
"""
# Of a partitioned table: what each partition that has rows of its own takes; NULL stands for everything.
_PARTITIONS = """
SELECT c.relname, array(SELECT coalesce(pg_get_partition_constraintdef(p.relid), 'true')
                          FROM pg_partition_tree(c.oid) p WHERE p.isleaf)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY(%s) AND c.relkind = 'p'
 ORDER BY 1
"""
