"""The types of a live database's columns, as far as rows are found by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import Session

# Types of which equal values always have the same text, as this tool reads keys; by what they are compared as.
_NUMBERS = dict.fromkeys(("int2", "int4", "int8", "numeric"), "number")
_TEXTS = dict.fromkeys(("text", "varchar", "bpchar", "name"), "text")
_OTHERS = (
    "bool bytea uuid date time timetz timestamp timestamptz float4 float8 money"
    " inet cidr macaddr macaddr8 bit varbit oid char pg_lsn xid8"
)
_FAMILIES: Mapping[str, str] = {**_NUMBERS, **_TEXTS, **{name: name for name in _OTHERS.split()}}
_ENUM = "e"


@dataclass(frozen=True, kw_only=True)
class LiveType:
    """The type of a column."""

    name: str  # as PostgreSQL writes it
    family: str | None  # the types whose values it can be compared with; None: equal values may differ as text
    identifies: bool = True  # rows are found by it: no array, and compared by an operator of PostgreSQL's own


def read_types(session: Session) -> dict[tuple[str, str], LiveType]:
    """Return the type of each column of the product's tables, by table and column."""
    rows = session.rows(_TYPES, (NAMESPACE,), doing="reading the columns' types")
    return {(table, column): _live_type(*row) for table, column, *row in rows}


def _live_type(name: str, base: str, builtin: bool, kind: str, deterministic: bool) -> LiveType:
    if kind == _ENUM:
        return LiveType(name=name, family=name)
    family = _FAMILIES.get(base) if builtin and deterministic else None
    array = base.startswith("_")
    return LiveType(name=name, family=family, identifies=not array and (builtin or kind != "b"))


# The base of a domain stands for it, in which it may be another domain.
_TYPES = """
WITH RECURSIVE columns AS (
    SELECT c.relname, a.attname, a.atttypid, format_type(a.atttypid, a.atttypmod) AS name, a.attcollation
      FROM pg_class c
      JOIN pg_namespace n ON n.oid = c.relnamespace
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
), bases AS (
    SELECT t.oid AS of_type, t.oid, t.typtype, t.typbasetype
      FROM pg_type t WHERE t.oid IN (SELECT atttypid FROM columns)
    UNION ALL
    SELECT b.of_type, t.oid, t.typtype, t.typbasetype
      FROM bases b JOIN pg_type t ON b.typtype = 'd' AND t.oid = b.typbasetype
)
SELECT c.relname, c.attname, c.name, t.typname, n.nspname = 'pg_catalog', t.typtype::text,
       coalesce((to_jsonb(l) ->> 'collisdeterministic')::boolean, true)
  FROM columns c
  JOIN bases b ON b.of_type = c.atttypid AND b.typtype <> 'd'
  JOIN pg_type t ON t.oid = b.oid
  JOIN pg_namespace n ON n.oid = t.typnamespace
  LEFT JOIN pg_collation l ON l.oid = c.attcollation
"""
