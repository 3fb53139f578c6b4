"""The tables of a database and a sample of each, read with the rights of an owner and without an extension.

No ANALYZE: step 9 is verified by the time of each table's last ANALYZE, so that runs last.
"""

from __future__ import annotations

from collections.abc import Sequence

from archiver.postgres.session import SQL, Composable, Composed, Identifier, Literal, Session
from archiver.vacuum.bloat import PAGE, BloatSample, DiskSize, Index, Measured, TableBloat, measured, unmeasured

SAMPLED = 2000  # pages: the row count is then off by about 2 percent; smaller tables are read in full
_TOAST_FROM = 2000  # bytes of a row; a smaller row has no value in TOAST, and is measured exactly
_HEADER = 24  # bytes of a row's header


def tables(session: Session) -> list[TableBloat]:
    """Return every table except temporary ones. Waits for no lock, unlike a query for a table's size."""
    rows = session.rows(_TABLES, doing="reading the tables")
    return [_table(*row) for row in rows]


def disk_size(session: Session, table: TableBloat) -> DiskSize:
    """Return the current size of a table on disk."""
    total, main, toast = session.row(_SIZE, (table.oid,), doing=f"reading the size of {table}") or (0, 0, 0)
    return DiskSize(all=total, main=main, toast=toast)


def measure(session: Session, table: TableBloat) -> Measured:
    """Compare a table's size with what its live rows need, from a sample of at most SAMPLED pages."""
    size = disk_size(session, table)
    if not (table.permitted and table.readable and table.filled):
        return unmeasured(table, size)
    rows = session.rows(_INDEXES, (table.oid,), doing=f"reading the indexes of {table}")
    indexes = [Index(bytes=size, columns=tuple(keys) if keys else None, fill=fill) for size, keys, fill in rows]
    keys = {key for index in indexes for key in index.columns or ()}
    return measured(table, size, indexes, _sample(session, table, size, sorted(keys)))


def identifier(table: TableBloat) -> Composed:
    """Return a table's name for a statement."""
    return SQL("{}.{}").format(Identifier(table.schema), Identifier(table.name))


def _table(
    oid: int,
    schema: str,
    name: str,
    fill: int,
    columns: list[str],
    owner: str,
    permitted: bool,
    readable: bool,
    filled: bool,
    partitioned: bool,
) -> TableBloat:
    return TableBloat(
        oid=oid,
        schema=schema,
        name=name,
        fill=fill,
        columns=tuple(columns),
        owner=owner,
        permitted=permitted,
        readable=readable,
        filled=filled,
        partitioned=partitioned,
    )


def _sample(session: Session, table: TableBloat, size: DiskSize, names: Sequence[str]) -> BloatSample:
    share = min(1.0, SAMPLED * PAGE / max(size.main, 1))
    query = SQL("SELECT count(*), {} FROM ONLY {} t TABLESAMPLE SYSTEM ({}) REPEATABLE (0)").format(
        SQL(", ").join(SQL("coalesce(avg({}), 0)::float8").format(text) for text in (_row(table), *map(_value, names))),
        identifier(table),
        Literal(100 * share),
    )
    count, width, *widths = session.row(query, doing=f"measuring {table}")
    return BloatSample(rows=count / share, width=width, widths=dict(zip(names, widths, strict=True)))


def _row(table: TableBloat) -> Composable:
    """SQL: the bytes of a row, aligned: the sum of its columns if it may have values in TOAST, which the row as one
    value would fetch; else the row as one value, which includes its padding."""
    values = SQL(" + ").join([Literal(_HEADER), *map(_value, table.columns)])
    return SQL("(CASE WHEN {} > {} THEN {} ELSE pg_column_size(t.*) END + 7) & -8").format(
        values, Literal(_TOAST_FROM), values
    )


def _value(column: str) -> Composable:
    return SQL("coalesce(pg_column_size(t.{}), 0)").format(Identifier(column))


# The tables are those of pg_stat_user_tables. VACUUM requires the owner of the table or of the database.
_TABLES = """
SELECT c.oid, n.nspname, c.relname,
       coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'),
                100),
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated <> 'v'
              ORDER BY a.attnum),
       pg_get_userbyid(c.relowner),
       pg_has_role(c.relowner, 'USAGE') OR pg_has_role(d.datdba, 'USAGE')
         OR CASE WHEN current_setting('server_version_num')::int >= 170000
                 THEN has_table_privilege(c.oid, 'MAINTAIN') ELSE false END,
       has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid),
       c.relkind <> 'p' AND c.relispopulated, c.relkind = 'p'
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_database d ON d.datname = current_database()
 WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast'
 ORDER BY n.nspname, c.relname
"""
_SIZE = """
SELECT pg_total_relation_size(c.oid), pg_relation_size(c.oid),
       (coalesce(pg_relation_size(c.reltoastrelid), 0) + coalesce((SELECT sum(pg_relation_size(i.indexrelid))
          FROM pg_index i WHERE i.indrelid = c.reltoastrelid), 0))::bigint
  FROM pg_class c WHERE c.oid = %s::oid
"""
_INDEXES = """
SELECT pg_relation_size(i.indexrelid),
       CASE WHEN m.amname = 'btree' AND i.indisvalid AND i.indexprs IS NULL AND i.indpred IS NULL
            THEN ARRAY(SELECT a.attname::text FROM pg_attribute a
                        WHERE a.attrelid = i.indrelid AND a.attnum = ANY(i.indkey::int2[])) END,
       coalesce((SELECT option_value::int FROM pg_options_to_table(c.reloptions) WHERE option_name = 'fillfactor'), 90)
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indexrelid
  JOIN pg_am m ON m.oid = c.relam
 WHERE i.indrelid = %s::oid
"""
