"""What migrations make of an archived table: which column came from which, and the SQL that carries the rows; pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from archiver.mapping.column_cast import ColumnStep, MigratedColumn
from archiver.mapping.column_types import labels, without_namespace
from archiver.postgres.schema import Schema, Table
from archiver.postgres.session import SQL, Composable, Identifier
from inventory.migrations import Changes, Migration, TableChanges

ARCHIVED = SQL("pg_temp.archived")  # a table's member as it was copied in: columns of text


@dataclass(frozen=True, kw_only=True)
class Migrated:
    """An archived table between two migrations."""

    source: str  # its name in the archive
    name: str
    columns: Mapping[str, MigratedColumn]
    rows: Composable  # a SELECT of these columns as text
    touched: bool = False  # whether a migration speaks of its columns or labels
    dropped: Mapping[str, str] = field(default_factory=dict)  # archived column: why
    gone: str | None = None  # why the whole table is dropped


def migrate(archived: Schema, chain: Sequence[Changes]) -> tuple[tuple[Migrated, ...], tuple[str, ...]]:
    """Every archived table after these migrations, and what they say that cannot be."""
    tables = tuple(_begin(name, table, archived) for name, table in archived.tables.items())
    mistakes: list[str] = []
    for number, changes in enumerate(chain):
        # Between migrations there were columns that an archive from before does not have: a name may lead nowhere.
        if number == 0 or not isinstance(changes, Migration):
            mistakes += _leading_nowhere(tables, changes)
        mistakes += _meeting(tables, changes)
        tables = tuple(_after(table, changes) for table in tables)
    return tables, tuple(mistakes)


def _begin(name: str, table: Table, archived: Schema) -> Migrated:
    columns = {
        column.name: MigratedColumn(
            origin=column.name,
            type=column.type,
            labels=labels(archived.types, column.type),
            not_null=column.not_null,
        )
        for column in table.copied
    }
    rows = SQL("SELECT {} FROM {}").format(SQL(", ").join(map(Identifier, columns)), ARCHIVED)
    return Migrated(source=name, name=name, columns=columns, rows=rows)


def _after(table: Migrated, changes: Changes) -> Migrated:
    """A table after one migration."""
    if table.gone is not None or table.name in changes.drop_tables:
        return replace(table, gone=table.gone or changes.drop_tables[table.name])
    own = _own(table, changes)
    ways = _ways(table, changes, own)
    touched = [(way.name, way.value) for way in ways] != [(name, Identifier(name)) for name in table.columns]
    return replace(
        table,
        name=_renamed(table, changes),
        columns={way.name: way.after for way in ways},
        rows=_select(table, ways) if touched else table.rows,
        touched=table.touched or touched,
        dropped={**table.dropped, **_dropped(table, own)},
    )


def _renamed(table: Migrated, changes: Changes) -> str:
    return changes.rename_tables.get(table.name, table.name)


def _own(table: Migrated, changes: Changes) -> TableChanges:
    """What a migration says of this table's columns."""
    return changes.tables.get(_renamed(table, changes), TableChanges())


def _ways(table: Migrated, changes: Changes, own: TableChanges) -> list[ColumnStep]:
    """The columns that are there after a migration."""
    olds = {own.rename.get(old, old): old for old in table.columns if old not in own.drop}
    names = dict.fromkeys((*olds, *own.convert, *own.fill))
    return [_way(table, olds.get(name), name, changes) for name in names]


def _way(table: Migrated, old: str | None, name: str, changes: Changes) -> ColumnStep:
    own = _own(table, changes)
    before = table.columns[old] if old is not None else MigratedColumn()
    return ColumnStep(
        name=name,
        old=old,
        before=before,
        convert=own.convert.get(name),
        fill=own.fill.get(name),
        labels=_labels(before, changes),
    )


def _labels(column: MigratedColumn, changes: Changes) -> Mapping[str, str]:
    """What a migration calls the labels of this column's enum."""
    if column.type is None or column.labels is None:
        return {}
    return changes.labels.get(column.type) or changes.labels.get(without_namespace(column.type), {})


def _select(table: Migrated, ways: Sequence[ColumnStep]) -> Composable:
    listed = (SQL("{} AS {}").format(way.value, Identifier(way.name)) for way in ways)
    return SQL("SELECT {} FROM ({}) archived").format(SQL(", ").join(listed), table.rows)


def _dropped(table: Migrated, own: TableChanges) -> dict[str, str]:
    """The archived columns that are dropped: why."""
    before = {name: table.columns[name].origin for name in own.drop if name in table.columns}
    return {origin: own.drop[name] for name, origin in before.items() if origin is not None}


def _leading_nowhere(tables: Sequence[Migrated], changes: Changes) -> Iterator[str]:
    """What a migration says of tables and columns that are not there."""
    there = {table.name for table in tables if table.gone is None}
    for key, names in (("rename_tables", changes.rename_tables), ("drop_tables", changes.drop_tables)):
        yield from (
            f"{changes.name}/{key}/{name}: the archive has no such table" for name in names if name not in there
        )
    after = {_renamed(table, changes): table for table in tables if table.gone is None}
    for name, own in changes.tables.items():
        if name not in after:
            yield f"{changes.name}/tables/{name}: the archive has no such table"
            continue
        for key, columns in (("rename", own.rename), ("drop", own.drop)):
            path = f"{changes.name}/tables/{name}/{key}"
            absent = [column for column in columns if column not in after[name].columns]
            yield from (f"{path}/{column}: the archive has no such column" for column in absent)


def _meeting(tables: Sequence[Migrated], changes: Changes) -> Iterator[str]:
    """Columns that a migration gives one name: one of them would be lost without a word."""
    for table in tables:
        own = _own(table, changes)
        names = Counter(own.rename.get(old, old) for old in table.columns if old not in own.drop)
        for name in (name for name, columns in names.items() if columns > 1):
            yield f"{changes.name}/tables/{_renamed(table, changes)}/rename: two columns become {name}"
