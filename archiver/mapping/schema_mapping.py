"""An archived database mapped to today's: the origin of each column, what is lost, and what prevents it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from archiver.catalog.model import TableName
from archiver.mapping.migrate import Migrated, migrate
from archiver.mapping.row_checks import RowCheck, row_checks_of, typed
from archiver.postgres.schema import Column, Schema, Table
from archiver.postgres.session import Composable
from inventory.migrations import Changes

WHOLE = "*"  # in place of a column: entire rows are lost


@dataclass(frozen=True, kw_only=True)
class LiveSchema:
    """A live database as the target of rows."""

    schema: Schema
    defaults: frozenset[tuple[str, str]] = frozenset()  # table and column: those with a default


@dataclass(frozen=True, kw_only=True)
class TableMapping:
    """An archived table mapped to a live one."""

    source: TableName  # in the archive
    target: TableName
    archived: Table
    shape: Table  # the live table, narrowed to the columns that the archive fills
    origins: Mapping[str, str | None]  # live column: archived column, or None where migrations made the value
    rows: Composable  # a SELECT of these columns as text, from the member after COPY
    values: Mapping[str, Composable]  # live column: its value, with the column's type
    doubts: tuple[RowCheck, ...]  # the checks that need the rows
    lost: Mapping[str, str]  # archived column: why
    plain: bool  # the member can be copied directly into the live table


@dataclass(frozen=True, kw_only=True)
class SchemaMapping:
    """An archived database mapped to a live one."""

    tables: tuple[TableMapping, ...]
    lost: Mapping[TableName, str]  # archived table: why its rows are dropped
    problems: tuple[str, ...]  # what cannot be mapped, each with the line to add

    @cached_property
    def by_source(self) -> Mapping[TableName, TableMapping]:
        """The tables by their archived names."""
        return {table.source: table for table in self.tables}

    @cached_property
    def by_target(self) -> Mapping[str, TableMapping]:
        """The tables by their live names."""
        return {table.target.table: table for table in self.tables}


def compare(
    database: str, archived: Schema, today: LiveSchema, chain: Sequence[Changes], filled: Collection[str]
) -> SchemaMapping:
    """Map an archived database to a live one, through the chain of migrations between them.

    `filled` are the archived tables with rows: the others cannot lose anything.
    """
    migrated, problems = migrate(archived, chain)
    tables: dict[str, TableMapping] = {}
    all_problems, lost = list(problems), {}
    for table in migrated:
        source = TableName(database, table.source)
        live = today.schema.tables.get(table.name)
        if table.drop_reason is not None and table.source in filled:
            lost[source] = table.drop_reason
        elif table.drop_reason is None and live is None and table.source in filled:
            all_problems.append(_no_table(source, table.name))
        elif table.drop_reason is None and live is not None:
            mapping = _map(source, archived, table, today, live)
            if table.source in filled:
                all_problems += _problems(mapping, table, today, live)
                if table.name in tables:
                    all_problems.append(f"{mapping.target}: two tables of the archive map to it")
            if mapping.plain or table.source in filled:
                tables[table.name] = mapping
    return SchemaMapping(tables=tuple(tables.values()), lost=lost, problems=tuple(all_problems))


def _no_table(source: TableName, name: str) -> str:
    return (
        f"{source} holds rows, and there is no such table today. "
        f"Add rename_tables: {{{name}: <today's name>}}, or drop_tables: {{{name}: <why its rows may be lost>}}"
    )


def _map(source: TableName, archived: Schema, table: Migrated, today: LiveSchema, live: Table) -> TableMapping:
    shape = archived.tables[table.source]
    columns = tuple(column for column in live.copied if column.name in table.columns)
    keyed = set(live.primary_key) <= {column.name for column in columns}
    origins = {column.name: table.columns[column.name].origin for column in columns}
    target = TableName(source.database, table.name)
    doubts = row_checks_of(target, table, columns, archived.types, today.schema.types)
    computed = {column.name for column in live.columns if column.generated}
    lost = {name: table.dropped.get(name, _why_lost(name in computed)) for name in _left(shape, origins)}
    return TableMapping(
        source=source,
        target=target,
        archived=shape,
        shape=replace(live, columns=columns, primary_key=live.primary_key if keyed else ()),
        origins=origins,
        rows=table.rows,
        values={column.name: typed(table.columns[column.name], column, archived.types) for column in columns},
        doubts=doubts,
        lost=lost,
        plain=not lost and not doubts and _as_it_was(table, shape, columns),
    )


def _why_lost(computed: bool) -> str:
    return "today's table computes it" if computed else "today's table has no such column"


def _left(archived: Table, origins: Mapping[str, str | None]) -> Iterator[str]:
    """Return the archived columns that no live column comes from."""
    taken = set(origins.values())
    return (column.name for column in archived.copied if column.name not in taken)


def _as_it_was(table: Migrated, archived: Table, columns: Sequence[Column]) -> bool:
    """True if no migration changes the values, and each column still has its type."""
    types = {column.name: column.type for column in archived.copied}
    return not table.touched and all(types[column.name] == column.type for column in columns)


def _problems(mapping: TableMapping, table: Migrated, today: LiveSchema, live: Table) -> Iterator[str]:
    """Yield what prevents restoring a table's rows, each with the line to add to a migration."""
    computed = {column.name for column in mapping.archived.columns if column.generated}
    missing = [column for column in live.copied if column.name not in table.columns]
    for column in missing:
        if not _left_to_table(mapping, column, today, computed):
            line = f"tables/{mapping.target.table}: fill: {{{column.name}: <SQL expression>}}"
            yield f"{mapping.target}.{column.name} {_why_missing(table, column, computed)}. Add to {line}"
    new = [column.name for column in missing if column.name not in computed]
    generated = {column.name for column in live.columns if column.generated}
    names = {column.name for column in live.copied} | generated
    for name, carried in table.columns.items():
        if name not in names and carried.origin is None:
            yield f"{mapping.target}.{name} is filled by a migration, and there is no such column today"
        elif name not in names and new:
            yield (
                f"{mapping.target}.{name} no longer exists, and {', '.join(new)} is new: was it renamed? "
                f"Add to tables/{table.name}: rename: {{{name}: {new[0]}}}, or drop: {{{name}: <why it may be lost>}}"
            )


def _left_to_table(mapping: TableMapping, column: Column, today: LiveSchema, computed: Collection[str]) -> bool:
    """True if the table itself supplies the value of a missing column."""
    if column.name in computed:
        return False
    has_default = column.identity or (mapping.target.table, column.name) in today.defaults
    return has_default or not column.not_null


def _why_missing(table: Migrated, column: Column, computed: Collection[str]) -> str:
    if column.name in computed:
        return "was computed when it was archived, and is stored today"
    if column.name in table.dropped:
        return "is dropped by a migration, and is NOT NULL today without a default"
    return "is NOT NULL today without a default, and the archive has no such column"
