"""Before anything is deleted: does the catalog know every live table and column that can point at a tenant's rows?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archiver.catalog import MASTER, SHARD, Model, TableName
from archiver.postgres import SQL, Identifier, Session
from archiver.schema import NAMESPACE, identifier
from archiver.workplace import Workplace
from errors import Problems


@dataclass(frozen=True, kw_only=True)
class ForeignKey:
    """A live constraint, wherever it stands."""

    name: str
    table: str
    column: str
    target: str
    on_delete: str  # a: no action, r: restrict, c: cascade, n: set null, d: set default


@dataclass(frozen=True, kw_only=True)
class Live:
    """What a database's own catalogue says."""

    columns: Mapping[str, tuple[str, ...]]  # by table
    foreign_keys: tuple[ForeignKey, ...]
    indexed: frozenset[tuple[str, str]]  # table and the column that leads an index
    triggers: tuple[tuple[str, str], ...]  # table and name of each trigger that fires


@dataclass(frozen=True, kw_only=True)
class Findings:
    """What a comparison of catalog and live databases came to."""

    problems: tuple[str, ...]  # nothing may be deleted while there is one
    warnings: tuple[str, ...]  # it will be slow


def prove(place: Workplace) -> None:
    """Raises Problems with everything that the catalog does not know, each with the line to add."""
    refuse(compare(place))


def refuse(found: Findings) -> None:
    """Raises Problems where there are any."""
    if found.problems:
        raise Problems(
            "The catalog of tables does not know all that can point at a tenant's rows; nothing is deleted:",
            found.problems,
            hint="inv archive.check-catalog shows the same.",
        )


def compare(place: Workplace) -> Findings:
    """Holds the catalog against the live catalogue of every database."""
    problems: list[str] = []
    warnings: list[str] = []
    for name in (MASTER, *place.shards):
        kind = MASTER if name == MASTER else SHARD
        live = read_live(place.session(name))
        problems += (problem for problem in _unknown_columns(place.model, kind, live))
        problems += _leaving_cascades(place.model, kind, live)
        problems += _unknown_triggers(place.model, kind, live)
        problems += _unknown_types(place.session(name), place.model, kind, live)
        warnings += _missing_indexes(place.model, kind, live)
    return Findings(problems=tuple(dict.fromkeys(problems)), warnings=tuple(dict.fromkeys(warnings)))


def vocabulary(model: Model) -> dict[str, TableName]:
    """Column names that mean a carried table's key: `school_id`, and what the catalog's own links call it."""
    words = {f"{singular(table.table)}_id": table for table in model.tables}
    for link in (*model.links, *model.needs):
        for column, parent_column in zip(link.columns, link.parent_columns, strict=True):
            if link.where is None and column.endswith("_id"):
                words.setdefault(column, link.parent)
            if parent_column.endswith("_id"):
                words.setdefault(parent_column, link.child)
    return words


def singular(table: str) -> str:
    """A Rails table name as one of its rows: activities, activity; classes, class; schools, school."""
    for plural, single in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("s", "")):
        if table.endswith(plural):
            return table.removesuffix(plural) + single
    return table


def table_of_class(name: str) -> str:
    """A Rails class as its table's stem: ClassRoom, class_room."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _unknown_columns(model: Model, kind: str, live: Live) -> Iterator[str]:
    words, known = vocabulary(model), _known_columns(model)
    targets = {(key.table, key.column): key.target for key in live.foreign_keys if _carried(model, kind, key.target)}
    for table, columns in live.columns.items():
        for column in columns:
            points_at = targets.get((table, column)) or words.get(column)
            if points_at is None or (kind, table, column) in known:
                continue
            yield from _unless_explained(model, TableName(kind, table), column, str(points_at))


def _unless_explained(model: Model, table: TableName, column: str, points_at: str) -> Iterator[str]:
    where = f"{table}.{column} can point at {points_at}"
    written = model.written(table)
    if written is not None:
        if column not in written.ignored:
            line = f"{{{column}: <why it leads nowhere>}}"
            yield f"{where}. Add to databases/{table.database}/{table.table}: found_by, or ignored: {line}"
    elif table.table not in model.catalog.excluded.get(table.database, {}):
        yield (
            f"{where}, and the catalog does not know the table. "
            f"Carry it, or add to excluded/{table.database}: {{{table.table}: <why it stays live>}}"
        )


def _known_columns(model: Model) -> set[tuple[str, str, str]]:
    """Columns that a link or a need speaks of, on either side."""
    links = (*model.links, *model.needs)
    return {(link.child.database, link.child.table, column) for link in links for column in link.columns} | {
        (link.parent.database, link.parent.table, column) for link in links for column in link.parent_columns
    }


def _leaving_cascades(model: Model, kind: str, live: Live) -> Iterator[str]:
    """A deletion must touch no row that is in no archive, and must not be forbidden by one."""
    acts = {"c": "deletes", "n": "sets to NULL", "d": "sets to its default"}
    known = _known_columns(model)
    for key in live.foreign_keys:
        if not _carried(model, kind, key.target) or (kind, key.table, key.column) in known:
            continue
        if key.on_delete not in acts and not _carried(model, kind, key.table):
            yield (
                f"{kind}.{key.table}: the foreign key {key.name} forbids to delete rows of {key.target} that it names. "
                f"Add to databases/{kind}/{key.target}: needed_by, or carry the table"
            )
    for key in live.foreign_keys:
        if key.on_delete in acts and _carried(model, kind, key.target) and not _carried(model, kind, key.table):
            yield (
                f"{kind}.{key.table}: the foreign key {key.name} {acts[key.on_delete]} rows there when rows of "
                f"{key.target} are deleted. Carry the table, or make the key NO ACTION"
            )


def _unknown_triggers(model: Model, kind: str, live: Live) -> Iterator[str]:
    """What a trigger does to other rows when a tenant's go or come is in no archive."""
    for table, trigger in live.triggers:
        written = model.written(TableName(kind, table))
        if written is not None and trigger not in written.triggers:
            yield (
                f"{kind}.{table}: the trigger {trigger} would fire. "
                f"Add to databases/{kind}/{table}: triggers: {{{trigger}: <why it does no harm>}}, or disable it"
            )


def _carried(model: Model, kind: str, table: str) -> bool:
    return TableName(kind, table) in model.tables


def _unknown_types(session: Session, model: Model, kind: str, live: Live) -> Iterator[str]:
    """Polymorphic pairs, by the types that live rows really have."""
    stems = {singular(table.table): table for table in model.tables}
    for table, columns in live.columns.items():
        if table in model.catalog.excluded.get(kind, {}):
            continue
        for column in columns:
            if column.endswith("_type") and f"{column.removesuffix('_type')}_id" in columns:
                for value in _distinct(session, table, column):
                    points_at = stems.get(table_of_class(value))
                    if points_at and not _typed(model, TableName(kind, table), column, value):
                        yield (
                            f"{kind}.{table}.{column} = {value} is {points_at}. Add to databases/{kind}/{table}: "
                            f"found_by … where {column} = {value}, or ignored: {{{column} = {value}: <why>}}"
                        )


def _typed(model: Model, table: TableName, column: str, value: str) -> bool:
    links = (*model.links, *model.needs)
    linked = any(link.child == table and link.where == (column, value) for link in links)
    written = model.written(table)
    return linked or (written is not None and f"{column} = {value}" in written.ignored)


def _distinct(session: Session, table: str, column: str) -> list[str]:
    query = SQL("SELECT DISTINCT {0}::text FROM {1} WHERE {0} IS NOT NULL").format(
        Identifier(column), identifier(table)
    )
    return [row[0] for row in session.rows(query, doing=f"reading the types in {table}")]


def _missing_indexes(model: Model, kind: str, live: Live) -> Iterator[str]:
    for link in model.links:
        leads = [link.where[0]] if link.where else []  # an index over a polymorphic pair begins with the type
        for table, columns in ((link.child, [*link.columns, *leads]), (link.parent, link.parent_columns)):
            if table.database == kind and not any((table.table, name) in live.indexed for name in columns):
                yield f"{table}.{columns[0]} has no index: each archive scans the whole table"


def read_live(session: Session) -> Live:
    """Reads tables, foreign keys and indexes in three queries."""
    columns: dict[str, tuple[str, ...]] = {
        row[0]: tuple(row[1]) for row in session.rows(_COLUMNS, (NAMESPACE,), doing="reading the tables")
    }
    keys = session.rows(_FOREIGN_KEYS, (NAMESPACE,), doing="reading the foreign keys")
    indexed = session.rows(_INDEXED, (NAMESPACE,), doing="reading the indexes")
    names = ("name", "table", "column", "target", "on_delete")
    return Live(
        columns=columns,
        foreign_keys=tuple(ForeignKey(**dict(zip(names, row, strict=True))) for row in keys),
        indexed=frozenset((row[0], row[1]) for row in indexed),
        triggers=tuple(session.rows(_TRIGGERS, (NAMESPACE,), doing="reading the triggers")),
    )


_COLUMNS = """
SELECT c.relname, array_agg(a.attname::text ORDER BY a.attnum)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
 WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND NOT c.relispartition
 GROUP BY c.relname ORDER BY c.relname
"""
_FOREIGN_KEYS = """
SELECT k.conname, c.relname, a.attname, t.relname, k.confdeltype::text
  FROM pg_constraint k
  JOIN pg_class c ON c.oid = k.conrelid
  JOIN pg_class t ON t.oid = k.confrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
  JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY(k.conkey)
 WHERE k.contype = 'f' AND n.nspname = %s AND k.conparentid = 0
 ORDER BY c.relname, k.conname
"""
_TRIGGERS = """
SELECT c.relname, t.tgname
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND NOT t.tgisinternal AND t.tgenabled <> 'D'
 ORDER BY c.relname, t.tgname
"""
_INDEXED = """
SELECT c.relname, a.attname
  FROM pg_index i
  JOIN pg_class c ON c.oid = i.indrelid
  JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
 WHERE n.nspname = %s AND i.indisvalid
"""
