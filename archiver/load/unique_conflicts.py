"""Find keys and ranges of archived rows that other rows have taken: live ones, or rows of the archive itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from archiver.catalog.model import TableName
from archiver.load.row_labels import id_text
from archiver.load.staged import Staged
from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import SQL, Composable, Identifier, Session
from formatting import first_few


@dataclass(frozen=True, kw_only=True)
class UniqueConflict:
    """A unique or exclusion index that two rows cannot both be in; shows keys only, no values."""

    table: TableName
    index: str
    rows: tuple[tuple[str, str], ...]  # (key of the archived row, key of the live row)
    archived: tuple[tuple[str, str], ...] = ()  # keys of two archived rows

    def __str__(self) -> str:
        pairs = [f"archived {archived} by live {live}" for archived, live in self.rows]
        pairs += [f"archived {first} by archived {second}" for first, second in self.archived]
        return f"{self.table}: the unique index {self.index} is taken: {first_few(pairs)}"


@dataclass(frozen=True, kw_only=True)
class _Index:
    """A live index that keeps two rows apart."""

    table: str
    name: str
    keys: list[str]  # columns or expressions
    operators: list[str]  # by which two rows are alike
    predicate: str | None
    columns: list[str]  # those it lists, and those that its expressions and its condition use
    nulls_alike: bool


def unique_conflicts(
    session: Session, staged: Mapping[str, Staged], complete: Collection[str] = ()
) -> list[UniqueConflict]:
    """Return every index that prevents the insert of missing rows, for one database's staged tables.

    Of the tables in `complete` all rows are inserted, also where a live row has their primary key.
    """
    conflicts = []
    for row in session.rows(_INDEXES, (NAMESPACE, list(staged)), doing="reading the unique indexes"):
        index = _Index(**dict(zip(_Index.__dataclass_fields__, row, strict=True)))
        rows = staged[index.table]
        if rows.column_names.issuperset(index.columns):
            doing = f"finding taken keys in {index.table}"
            live, archived = (
                session.rows(query, doing=doing) for query in _taken(rows, index, index.table in complete)
            )
            if live or archived:
                conflicts.append(
                    UniqueConflict(table=rows.table, index=index.name, rows=tuple(live), archived=tuple(archived))
                )
    return conflicts


def _taken(staged: Staged, index: _Index, complete: bool) -> tuple[Composable, Composable]:
    """SQL: pairs of an inserted row and a live one that are alike in an index, and pairs of two inserted rows."""
    rows = staged.everything if complete else staged.missing
    missing = _values(staged, index, SQL("({})").format(rows), SQL("row_number() OVER ()"))
    live = _values(staged, index, staged.live, SQL("0"))
    alike = SQL(" AND ").join(_alike(operator, number, index) for number, operator in enumerate(index.operators))
    pairs = SQL("SELECT s.own, l.own FROM {} s JOIN {} l ON {} ORDER BY s.own, l.own")
    twice = pairs.format(SQL("missing"), SQL("missing"), SQL("{} AND s.number < l.number").format(alike))
    return pairs.format(missing, live, alike), SQL("WITH missing AS MATERIALIZED {} {}").format(missing, twice)


def _values(staged: Staged, index: _Index, rows: Composable, number: Composable) -> Composable:
    """SQL: an index's values of these rows, with a label of each, and a number."""
    return SQL("(SELECT {} AS number, {} AS own, {} FROM {} r WHERE {})").format(
        number,
        id_text(staged.shape, staged.shape.primary_key, "r"),
        SQL(", ").join(SQL("{} AS {}").format(SQL(key), Identifier(f"k{n}")) for n, key in enumerate(index.keys)),
        rows,
        SQL(index.predicate or "true"),
    )


def _alike(operator: str, number: int, index: _Index) -> Composable:
    """SQL: two rows are alike in one of an index's columns."""
    key = Identifier(f"k{number}")
    equal = SQL("s.{0} {1} l.{0}").format(key, SQL(operator))
    return SQL("({0} OR (s.{1} IS NULL AND l.{1} IS NULL))").format(equal, key) if index.nulls_alike else equal


_INDEXES = """
SELECT c.relname, x.relname,
       (SELECT array_agg(pg_get_indexdef(i.indexrelid, k, true) ORDER BY k) FROM generate_series(1, i.indnkeyatts) k),
       coalesce((SELECT array_agg(format('OPERATOR(%%I.%%s)', m.nspname, o.oprname) ORDER BY e.place)
                   FROM pg_constraint k, unnest(k.conexclop) WITH ORDINALITY e(operator, place)
                   JOIN pg_operator o ON o.oid = e.operator JOIN pg_namespace m ON m.oid = o.oprnamespace
                  WHERE k.conindid = i.indexrelid AND k.conexclop IS NOT NULL),
                array_fill('='::text, ARRAY[i.indnkeyatts::integer])),
       pg_get_expr(i.indpred, i.indrelid, true),
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = i.indrelid AND a.attnum > 0
                AND (a.attnum = ANY(i.indkey)
                     OR EXISTS (SELECT 1 FROM pg_depend d
                                 WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                                   AND d.refobjid = i.indrelid AND d.refobjsubid = a.attnum))),
       coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false)
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_class x ON x.oid = i.indexrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = ANY(%s) AND (i.indisunique OR i.indisexclusion) AND i.indisready
 ORDER BY c.relname, x.relname
"""
