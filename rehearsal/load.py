"""The lab's only importer of psycopg2: runs a script in a database, and copies rows into it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import psycopg2
from psycopg2.sql import SQL, Composed, Identifier

from rehearsal.seed_values import Row, Value

_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_SEQUENCE_GAP = 3  # a live sequence has given out numbers whose rows were never committed


def run(dsn: str, script: str) -> None:
    """Run an SQL script in one transaction."""
    with _cursor(dsn) as cursor:
        cursor.execute(script)


def fill(dsn: str, tables: Mapping[str, Sequence[Row]]) -> None:
    """Copy rows into tables, in the mapping's order, then move the sequences past them and analyze."""
    with _cursor(dsn) as cursor:
        for table, rows in tables.items():
            _copy(cursor, table, rows)
        cursor.execute(_OWNED_SEQUENCES)
        for table, column, sequence in cursor.fetchall():
            cursor.execute(_move_past(table, column), (sequence, _SEQUENCE_GAP))
        cursor.execute("ANALYZE")


def copy_text(rows: Iterable[Row]) -> str:
    """Return rows in the form that COPY reads."""
    return "".join("\t".join(map(_field, row.values())) + "\n" for row in rows)


def _field(value: Value) -> str:
    if value is None:
        return "\\N"
    return value.translate(_ESCAPES) if isinstance(value, str) else str(value)


def _copy(cursor: psycopg2.extensions.cursor, table: str, rows: Sequence[Row]) -> None:
    if rows:
        columns = SQL(", ").join(map(Identifier, rows[0]))
        statement = SQL("COPY {} ({}) FROM STDIN").format(Identifier(table), columns)
        cursor.copy_expert(statement, io.BytesIO(copy_text(rows).encode()))


def _move_past(table: str, column: str) -> Composed:
    """Return SQL that moves a column's sequence past its highest value; an empty table's stays as created."""
    return SQL("SELECT setval(%s, max({column}) + %s) FROM {table} HAVING max({column}) IS NOT NULL").format(
        table=Identifier(table), column=Identifier(column)
    )


@contextmanager
def _cursor(dsn: str) -> Iterator[psycopg2.extensions.cursor]:
    """Yield a cursor in a transaction on its own connection; commit when the block ends without an error."""
    connection = psycopg2.connect(dsn, client_encoding="UTF8", options="-c datestyle=ISO,YMD -c timezone=UTC")
    try:
        with connection, connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


# By the default's expression too: no column owns a sequence that only a DEFAULT uses.
_OWNED_SEQUENCES = """
SELECT c.relname, a.attname, s.oid::regclass::text
  FROM pg_depend d
  JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
  JOIN pg_class c ON c.oid = d.refobjid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
 WHERE d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND c.relnamespace = 'public'::regnamespace
UNION
SELECT c.relname, a.attname, s.oid::regclass::text
  FROM pg_depend d
  JOIN pg_attrdef f ON f.oid = d.objid
  JOIN pg_class s ON s.oid = d.refobjid AND s.relkind = 'S'
  JOIN pg_class c ON c.oid = f.adrelid
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.adnum
 WHERE d.classid = 'pg_attrdef'::regclass AND c.relnamespace = 'public'::regnamespace
 ORDER BY 1, 2
"""
