"""Find unique keys that other live rows have taken since a tenant was archived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.model import TableName
from archiver.load.row_labels import id_text
from archiver.load.staged import Staged
from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import SQL, Composable, Identifier, Session
from formatting import first_few


@dataclass(frozen=True, kw_only=True)
class UniqueConflict:
    """A unique index in which other live rows have the values of archived ones; shows keys only, no values."""

    table: TableName
    index: str
    rows: tuple[tuple[str, str], ...]  # (key of the archived row, key of the live row)

    def __str__(self) -> str:
        pairs = [f"archived {archived} by live {live}" for archived, live in self.rows]
        return f"{self.table}: the unique index {self.index} is taken: {first_few(pairs)}"


def unique_conflicts(session: Session, staged: Mapping[str, Staged]) -> list[UniqueConflict]:
    """Return every unique index that prevents the insert of missing rows, for one database's staged tables."""
    conflicts = []
    indexes = session.rows(_UNIQUE, (NAMESPACE, list(staged)), doing="reading the unique indexes")
    for table, index, keys, predicate, columns in indexes:
        staged_table = staged[table]
        if staged_table.column_names.issuperset(columns):
            rows = session.rows(
                _sharing(staged_table, keys, predicate or "true"), doing=f"finding taken keys in {table}"
            )
            if rows:
                conflicts.append(UniqueConflict(table=staged_table.table, index=index, rows=tuple(rows)))
    return conflicts


def _sharing(staged: Staged, keys: Sequence[str], predicate: str) -> Composable:
    """SQL: pairs of a missing row and another live one with the same values in an index."""
    own = id_text(staged.shape, staged.shape.primary_key, "r")
    side = SQL("SELECT {} AS own, {} FROM {} r WHERE {}")
    values = SQL(", ").join(SQL("{} AS {}").format(SQL(key), Identifier(f"k{n}")) for n, key in enumerate(keys))
    alike = SQL(" AND ").join(SQL("s.{0} = l.{0}").format(Identifier(f"k{n}")) for n in range(len(keys)))
    return SQL("SELECT s.own, l.own FROM ({}) s JOIN ({}) l ON {} ORDER BY s.own, l.own").format(
        side.format(own, values, SQL("({})").format(staged.missing), SQL(predicate)),
        side.format(own, values, staged.live, SQL(predicate)),
        alike,
    )


# Columns of an index: those it lists, and those used in its expressions and its condition.
_UNIQUE = """
SELECT c.relname, x.relname,
       (SELECT array_agg(pg_catalog.pg_get_indexdef(i.indexrelid, k, true) ORDER BY k)
          FROM generate_series(1, i.indnkeyatts) k),
       pg_catalog.pg_get_expr(i.indpred, i.indrelid, true),
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
              WHERE a.attrelid = i.indrelid AND a.attnum > 0
                AND (a.attnum = ANY(i.indkey)
                     OR EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
                                 WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = i.indexrelid
                                   AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum)))
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY(%s) AND i.indisunique AND i.indisvalid
 ORDER BY c.relname, x.relname
"""
