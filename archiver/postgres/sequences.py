"""The sequences that number a database's columns: those that a column owns, and those that its default names."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import SQL, Literal, Session


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """A live sequence and a column that it numbers."""

    name: str  # with its namespace, quoted where it must be
    table: str
    column: str
    next: int  # the number it gives out next
    step: int  # below zero: it counts down

    @property
    def ascending(self) -> bool:
        """True if it counts up."""
        return self.step > 0


def read_sequences(session: Session, tables: Collection[str]) -> list[Sequence]:
    """Return the sequences of these tables' whole-number columns, one for each column, in two queries.

    A sequence that a default names by text alone, without `regclass`, is unknown to the server's own catalogue.
    """
    columns = session.rows(_NUMBERED, (NAMESPACE, list(tables)), doing="reading the sequences")
    names = dict.fromkeys(row[0] for row in columns)
    if not names:
        return []
    each = SQL("SELECT {} AS name, last_value, is_called FROM {}")
    query = SQL(" UNION ALL ").join(each.format(Literal(name), SQL(name)) for name in names)
    last = {name: (value, called) for name, value, called in session.rows(query, doing="reading the sequences")}
    return [
        Sequence(name=name, table=table, column=column, step=step, next=_next(*last[name], step, again))
        for name, table, column, step, again in columns
    ]


def _next(last: int, called: bool, step: int, again: list[int] | None) -> int:
    """Return the number that a sequence gives out next; `again`: where one that cycles ends, and begins once more."""
    following = last + (step if called else 0)
    end, begin = again or (following, following)
    return begin if (following > end if step > 0 else following < end) else following


_NUMBERED = """
WITH numbered AS (
    SELECT d.objid AS sequence, d.refobjid AS rel, d.refobjsubid AS number
      FROM pg_depend d
     WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
     UNION
    SELECT d.refobjid, f.adrelid, f.adnum
      FROM pg_depend d JOIN pg_attrdef f ON d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid
     WHERE d.refclassid = 'pg_class'::regclass
)
SELECT s.seqrelid::regclass::text, c.relname, a.attname, s.seqincrement,
       CASE WHEN NOT s.seqcycle THEN NULL
            WHEN s.seqincrement > 0 THEN ARRAY[s.seqmax, s.seqmin] ELSE ARRAY[s.seqmin, s.seqmax] END
  FROM numbered n
  JOIN pg_sequence s ON s.seqrelid = n.sequence
  JOIN pg_class c ON c.oid = n.rel
  JOIN pg_namespace m ON m.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = n.number
 WHERE m.nspname = %s AND c.relname = ANY(%s)
   AND a.atttypid IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
 ORDER BY 1, 2, 3
"""
