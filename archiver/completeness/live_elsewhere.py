"""Relations of a live database that no catalog can carry: other schemas, foreign tables, materialized views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import Session


@dataclass(frozen=True, kw_only=True)
class LiveElsewhere:
    """These relations by name, with their schema if that is not the product's. A partition counts as its table."""

    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by relation and column: the type
    views: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # of a materialized view: the tables it reads


def read_elsewhere(session: Session) -> LiveElsewhere:
    """Read them in two queries."""
    columns: dict[str, dict[str, str]] = {}
    for relation, column, type_ in session.rows(_COLUMNS, (NAMESPACE, NAMESPACE), doing="reading other relations"):
        columns.setdefault(relation, {})[column] = type_
    views = session.rows(_VIEWS, (NAMESPACE, NAMESPACE), doing="reading the materialized views")
    return LiveElsewhere(columns=columns, views={view: tuple(tables) for view, tables in views})


_COLUMNS = """
SELECT CASE WHEN n.nspname = %s THEN c.relname ELSE format('%%s.%%s', n.nspname, c.relname) END,
       a.attname, format_type(a.atttypid, NULL)
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'archiver')
   AND NOT c.relispartition AND (c.relkind IN ('f', 'm') OR c.relkind IN ('r', 'p') AND n.nspname <> %s)
 ORDER BY 1, a.attnum
"""
# Through views, too.
_VIEWS = """
WITH RECURSIVE reads AS (
    SELECT r.ev_class AS view, d.refobjid AS relation
      FROM pg_rewrite r
      JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                      AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
), below AS (
    SELECT r.view, r.relation FROM reads r JOIN pg_class c ON c.oid = r.view AND c.relkind = 'm'
    UNION
    SELECT b.view, r.relation FROM below b JOIN reads r ON r.view = b.relation
)
SELECT CASE WHEN s.nspname = %s THEN v.relname ELSE format('%%s.%%s', s.nspname, v.relname) END,
       array_agg(DISTINCT t.relname::text)
  FROM below b
  JOIN pg_class v ON v.oid = b.view
  JOIN pg_namespace s ON s.oid = v.relnamespace
  JOIN pg_class t ON t.oid = coalesce(pg_partition_root(b.relation), b.relation) AND t.relkind IN ('r', 'p')
  JOIN pg_namespace n ON n.oid = t.relnamespace
 WHERE n.nspname = %s
 GROUP BY 1
"""
