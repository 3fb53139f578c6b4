"""An archived table after the migrations: the origin of each column, and the SQL that converts the rows. Pure."""

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
    touched: bool = False  # True if a migration changes its columns or labels
    dropped: Mapping[str, str] = field(default_factory=dict)  # archived column: why
    drop_reason: str | None = None  # why the table is dropped; None: it is not


def migrate(archived: Schema, chain: Sequence[Changes]) -> tuple[tuple[Migrated, ...], tuple[str, ...]]:
    """Return every archived table after these migrations, and the mistakes in them."""
    tables = tuple(_begin(name, table, archived) for name, table in archived.tables.items())
    mistakes: list[str] = []
    for number, changes in enumerate(chain):
        # A later migration may name columns that were added after the archive was made: there, unknown names are valid.
        if number == 0 or not isinstance(changes, Migration):
            mistakes += _unknown_names(tables, changes)
        mistakes += _name_clashes(tables, changes)
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
    """Return a table after one migration."""
    if table.drop_reason is not None or table.name in changes.drop_tables:
        return replace(table, drop_reason=table.drop_reason or changes.drop_tables[table.name])
    own = _own(table, changes)
    steps = _steps(table, changes, own)
    touched = [(step.name, step.value) for step in steps] != [(name, Identifier(name)) for name in table.columns]
    return replace(
        table,
        name=_renamed(table, changes),
        columns={step.name: step.after for step in steps},
        rows=_select(table, steps) if touched else table.rows,
        touched=table.touched or touched,
        dropped={**table.dropped, **_dropped(table, own)},
    )


def _renamed(table: Migrated, changes: Changes) -> str:
    return changes.rename_tables.get(table.name, table.name)


def _own(table: Migrated, changes: Changes) -> TableChanges:
    """Return a migration's changes to this table's columns."""
    return changes.tables.get(_renamed(table, changes), TableChanges())


def _steps(table: Migrated, changes: Changes, own: TableChanges) -> list[ColumnStep]:
    """Return the columns that exist after a migration, each with its step."""
    olds = {own.rename.get(old, old): old for old in table.columns if old not in own.drop}
    names = dict.fromkeys((*olds, *own.convert, *own.fill))
    return [_step(table, olds.get(name), name, changes) for name in names]


def _step(table: Migrated, old: str | None, name: str, changes: Changes) -> ColumnStep:
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
    """Return a migration's new labels for this column's enum, by old label."""
    if column.type is None or column.labels is None:
        return {}
    return changes.labels.get(column.type) or changes.labels.get(without_namespace(column.type), {})


def _select(table: Migrated, steps: Sequence[ColumnStep]) -> Composable:
    listed = (SQL("{} AS {}").format(step.value, Identifier(step.name)) for step in steps)
    return SQL("SELECT {} FROM ({}) archived").format(SQL(", ").join(listed), table.rows)


def _dropped(table: Migrated, own: TableChanges) -> dict[str, str]:
    """Return the reason for each archived column that is dropped."""
    before = {name: table.columns[name].origin for name in own.drop if name in table.columns}
    return {origin: own.drop[name] for name, origin in before.items() if origin is not None}


def _unknown_names(tables: Sequence[Migrated], changes: Changes) -> Iterator[str]:
    """Yield the tables and columns that a migration names and the archive does not have."""
    existing = {table.name for table in tables if table.drop_reason is None}
    for key, names in (("rename_tables", changes.rename_tables), ("drop_tables", changes.drop_tables)):
        yield from (
            f"{changes.name}/{key}/{name}: the archive has no such table" for name in names if name not in existing
        )
    after = {_renamed(table, changes): table for table in tables if table.drop_reason is None}
    for name, own in changes.tables.items():
        if name not in after:
            yield f"{changes.name}/tables/{name}: the archive has no such table"
            continue
        for key, columns in (("rename", own.rename), ("drop", own.drop)):
            path = f"{changes.name}/tables/{name}/{key}"
            absent = [column for column in columns if column not in after[name].columns]
            yield from (f"{path}/{column}: the archive has no such column" for column in absent)


def _name_clashes(tables: Sequence[Migrated], changes: Changes) -> Iterator[str]:
    """Yield the columns to which a migration gives the same name: one of them would be lost silently."""
    for table in tables:
        own = _own(table, changes)
        names = Counter(own.rename.get(old, old) for old in table.columns if old not in own.drop)
        for name in (name for name, columns in names.items() if columns > 1):
            yield f"{changes.name}/tables/{_renamed(table, changes)}/rename: two columns become {name}"
