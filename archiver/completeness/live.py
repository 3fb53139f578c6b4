"""A database's own catalogue: the product's tables, and what could change their rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from archiver.catalog.naming import CONTENT_TYPE, id_column
from archiver.completeness.live_acts import LiveActs, read_acts
from archiver.completeness.live_elsewhere import LiveElsewhere, read_elsewhere
from archiver.completeness.live_publications import Unidentified, read_unidentified
from archiver.completeness.live_types import LiveType, read_types
from archiver.postgres.below import Below, read_below
from archiver.postgres.schema import NAMESPACE, Table, identifier, read_schema
from archiver.postgres.session import SQL, Identifier, Session


@dataclass(frozen=True, kw_only=True)
class LiveForeignKey:
    """A foreign key to one of the product's tables, from any namespace."""

    name: str
    table: str  # with its namespace if that is not the product's
    columns: tuple[str, ...]
    target: str
    target_columns: tuple[str, ...]
    on_delete: str = "a"  # a: no action, r: restrict, c: cascade, n: set null, d: set default


@dataclass(frozen=True, kw_only=True)
class LiveTableSize:
    """The size of a table, with all its partitions."""

    rows: int | None  # as last estimated; None: never analyzed
    bytes: int  # without its indexes
    analyzed_at: datetime | None = None  # the oldest of several partitions; None: unknown


@dataclass(frozen=True, kw_only=True)
class LiveCatalogue:
    """A database's own catalogue. A partition counts as its table."""

    tables: Mapping[str, Table]
    references: tuple[LiveForeignKey, ...] = ()
    types: Mapping[tuple[str, str], tuple[str, ...]]  # by table and type column: the values of a polymorphic pair
    indexed: frozenset[tuple[str, str]] = frozenset()  # table and the column that leads an index
    unique: frozenset[tuple[str, tuple[str, ...]]] = frozenset()  # table and the columns of a unique index
    acts: LiveActs = field(default_factory=LiveActs)
    below: tuple[Below, ...] = ()
    unidentified: tuple[Unidentified, ...] = ()
    elsewhere: LiveElsewhere = field(default_factory=LiveElsewhere)
    column_types: Mapping[tuple[str, str], LiveType] = field(default_factory=dict)  # by table and column
    content_types: Mapping[str, str] = field(default_factory=dict)  # of Django: the class that an id means
    sizes: Mapping[str, LiveTableSize]

    def has(self, relation: str) -> bool:
        """True if there is such a table, foreign table or materialized view."""
        return relation in self.tables or relation in self.elsewhere.columns

    def class_of(self, type_column: str, value: str) -> str:
        """Return the class that a value of a type column means."""
        return self.content_types.get(value, value) if type_column == CONTENT_TYPE else value


def read_live(session: Session, *, unread: Collection[str] = ()) -> LiveCatalogue:
    """Read a catalogue in a fixed number of queries, plus one for the types of each polymorphic pair.

    The types in the tables `unread` are not read.
    """
    names = [row[0] for row in session.rows(_TABLES, (NAMESPACE,), doing="reading the tables")]
    tables = read_schema(session, names).tables
    references = session.rows(_REFERENCES, (NAMESPACE, NAMESPACE), doing="reading the foreign keys")
    indexes = session.rows(_INDEXES, (NAMESPACE,), doing="reading the indexes")
    return LiveCatalogue(
        tables=tables,
        references=tuple(_reference(*row) for row in references),
        types={pair: _distinct(session, *pair) for pair in _pairs(tables) if pair[0] not in unread},
        indexed=frozenset((table, columns[0]) for table, columns, _ in indexes if columns[0]),
        unique=frozenset((table, tuple(columns)) for table, columns, unique in indexes if unique),
        acts=read_acts(session),
        below=read_below(session),
        unidentified=read_unidentified(session),
        elsewhere=read_elsewhere(session),
        column_types=read_types(session),
        content_types=_content_types(session, tables),
        sizes=sizes(session),
    )


def sizes(session: Session) -> dict[str, LiveTableSize]:
    """Return the size of each table by PostgreSQL's statistics, without reading any table."""
    rows = session.rows(_SIZES, (NAMESPACE,), doing="reading the sizes")
    return {name: LiveTableSize(rows=count, bytes=size, analyzed_at=when) for name, count, size, when in rows}


def _reference(
    name: str, table: str, columns: list[str], target: str, target_columns: list[str], on_delete: str
) -> LiveForeignKey:
    return LiveForeignKey(
        name=name,
        table=table,
        columns=tuple(columns),
        target=target,
        target_columns=tuple(target_columns),
        on_delete=on_delete,
    )


def _pairs(tables: Mapping[str, Table]) -> Iterator[tuple[str, str]]:
    """Yield each table and type column of a polymorphic pair: `taggable_type` beside `taggable_id`."""
    for name, table in tables.items():
        columns = {column.name for column in table.columns}
        yield from ((name, column) for column in sorted(columns) if id_column(column) in columns)


def _content_types(session: Session, tables: Mapping[str, Table]) -> dict[str, str]:
    """Return Django's content types: the class by id."""
    table = tables.get("django_content_type")
    if table is None or not {"id", "model"} <= {column.name for column in table.columns}:
        return {}
    query = SQL("SELECT id::text, model::text FROM {}").format(identifier("django_content_type"))
    return dict(session.rows(query, doing="reading the content types"))


def _distinct(session: Session, table: str, column: str) -> tuple[str, ...]:
    query = SQL("SELECT DISTINCT {0}::text FROM {1} WHERE {0} IS NOT NULL ORDER BY 1").format(
        Identifier(column), identifier(table)
    )
    return tuple(row[0] for row in session.rows(query, doing=f"reading the types in {table}"))


_TABLES = """
SELECT c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 ORDER BY c.relname
"""
_REFERENCES = """
SELECT k.conname, CASE WHEN s.nspname = %s THEN c.relname ELSE format('%%s.%%s', s.nspname, c.relname) END,
       (SELECT array_agg(a.attname::text ORDER BY p.place) FROM unnest(k.conkey) WITH ORDINALITY p(number, place)
          JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = p.number),
       t.relname,
       (SELECT array_agg(a.attname::text ORDER BY p.place) FROM unnest(k.confkey) WITH ORDINALITY p(number, place)
          JOIN pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = p.number),
       k.confdeltype::text
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = coalesce(pg_partition_root(k.conrelid), k.conrelid)
  JOIN pg_namespace s ON s.oid = c.relnamespace
  JOIN pg_class t ON t.oid = coalesce(pg_partition_root(k.confrelid), k.confrelid)
  JOIN pg_namespace n ON n.oid = t.relnamespace
 WHERE k.contype = 'f' AND n.nspname = %s AND k.conparentid = 0
 ORDER BY c.relname, k.conname
"""
# An expression has no column: NULL stands in its place.
_INDEXES = """
SELECT c.relname,
       array(SELECT a.attname::text FROM generate_series(0, i.indnkeyatts - 1) place
               LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[place] ORDER BY place),
       i.indisunique AND i.indpred IS NULL
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND i.indisvalid
"""
_SIZES = """
SELECT r.relname,
       CASE WHEN bool_and(c.reltuples >= 0 OR pg_relation_size(c.oid) = 0)
            THEN sum(greatest(c.reltuples, 0))::bigint END,
       sum(pg_table_size(c.oid))::bigint,
       CASE WHEN bool_and(a.at IS NOT NULL) THEN min(a.at) END
  FROM pg_class c
  LEFT JOIN LATERAL (SELECT greatest(s.last_analyze, s.last_autoanalyze) AS at
                       FROM pg_stat_user_tables s WHERE s.relid = c.oid) a ON true
  JOIN pg_class r ON r.oid = coalesce(pg_partition_root(c.oid), c.oid)
  JOIN pg_namespace n ON n.oid = r.relnamespace
 WHERE n.nspname = %s AND c.relkind = 'r'
 GROUP BY r.relname
"""
