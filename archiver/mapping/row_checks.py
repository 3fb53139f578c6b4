"""Checks that need an archive's rows: does each value fit today's column? Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archiver.catalog.model import TableName
from archiver.format.layout import UNCOMPARABLE
from archiver.mapping.column_cast import MigratedColumn
from archiver.mapping.column_types import Types, depends_on_zone, labels, plain, takes_all, without_namespace
from archiver.mapping.migrate import Migrated
from archiver.postgres.schema import Column
from archiver.postgres.session import SQL, Composable, Identifier, Literal


@dataclass(frozen=True, kw_only=True)
class RowCheck:
    """A reason why rows may not fit, and the SQL that counts those that do not."""

    where: str  # master.users.role
    says: str  # why such a row does not fit, and the line to add
    misfit: Composable  # SQL: True for a row that does not fit; its columns are text
    function: Composable | None = None  # SQL that creates the function `misfit` calls
    answered: bool = False  # a migration converts this column; only the rows can show if its values fit

    def sentence(self, rows: int | None = None) -> str:
        """Return the doubt as a sentence, with the number of rows that do not fit if they were counted."""
        return f"{self.where}{'' if rows is None else f', {rows} rows'}: {self.says}"


def row_checks_of(
    target: TableName, table: Migrated, columns: Sequence[Column], archived: Types, today: Types
) -> tuple[RowCheck, ...]:
    """Return the checks that a table's columns need."""
    checks: list[RowCheck] = []
    for number, column in enumerate(columns):
        carried = table.columns[column.name]
        checks += _nulls(target, carried, column)
        if carried.labels is not None and labels(today, column.type) is not None:
            checks += _labels(target, carried, column, today)
        elif carried.type is not None and depends_on_zone(plain(archived, carried.type), column.type):
            checks.append(_zone(target, carried, column))
        elif not _surely_fits(carried, column, archived, today):
            checks.append(_fits(target, carried, column, archived, f"fits_{number}"))
    return tuple(checks)


def typed(carried: MigratedColumn, column: Column, archived: Types) -> Composable:
    """SQL: a column's text as today's type, cast through its archived type as ALTER TABLE would."""
    return _cast(Identifier(column.name), carried, column, archived)


def _cast(text: Composable, carried: MigratedColumn, column: Column, archived: Types) -> Composable:
    if carried.type in (None, column.type):
        return SQL("{}::{}").format(text, SQL(column.type))
    return SQL("{}::{}::{}").format(text, SQL(plain(archived, str(carried.type))), SQL(column.type))


def _nulls(target: TableName, carried: MigratedColumn, column: Column) -> Iterator[RowCheck]:
    if column.not_null and not carried.not_null:
        says = "the migration gives NULL. Correct" if carried.mapped else "NULL does not fit NOT NULL. Add to"
        yield RowCheck(
            where=f"{target}.{column.name}",
            says=f"{says} tables/{target.table}: fill: {{{column.name}: <SQL expression>}}",
            misfit=SQL("{} IS NULL").format(Identifier(column.name)),
            answered=carried.mapped,
        )


def _labels(target: TableName, carried: MigratedColumn, column: Column, today: Types) -> Iterator[RowCheck]:
    new_labels = labels(today, column.type) or ()
    for label in carried.labels or ():
        if label not in new_labels:
            line = f"labels: {{{without_namespace(str(carried.type))}: {{{label}: <today's label>}}}}"
            yield RowCheck(
                where=f"{target}.{column.name}",
                says=f"{without_namespace(column.type)} has no label {label!r} today. Add {line}",
                misfit=SQL("{} = {}").format(Identifier(column.name), Literal(label)),
            )


def _zone(target: TableName, carried: MigratedColumn, column: Column) -> RowCheck:
    """Return the question in which zone a migration read times: ALTER TABLE takes that of the session that runs it."""
    name, old = column.name, without_namespace(str(carried.type))
    local = "timestamp" if old == "date" else old
    return RowCheck(
        where=f"{target}.{name}",
        says=f"{old} becomes {column.type} by a time zone: which did the live rows get? "
        f"Add to tables/{target.table}: convert: {{{name}: \"{name}::{local} AT TIME ZONE 'UTC'\"}}",
        misfit=SQL("{} IS NOT NULL").format(Identifier(name)),
    )


def _surely_fits(carried: MigratedColumn, column: Column, archived: Types, today: Types) -> bool:
    if carried.type is None:
        return column.type == "text"
    own = column.type.removesuffix("[]")
    same = carried.type == column.type and archived.get(own) == today.get(own)
    return same or takes_all(plain(archived, carried.type), column.type)


def _fits(target: TableName, carried: MigratedColumn, column: Column, archived: Types, name: str) -> RowCheck:
    mapped = carried.type is None
    was = "what the migration gives" if mapped else f"a value of type {without_namespace(str(carried.type))}"
    verb = "Correct" if mapped else "Add to"
    return RowCheck(
        where=f"{target}.{column.name}",
        says=f"{was} does not fit {column.type} without a loss. "
        f"{verb} tables/{target.table}: convert: {{{column.name}: <SQL expression>}}",
        misfit=SQL("NOT pg_temp.{}({})").format(Identifier(name), Identifier(column.name)),
        function=_function(name, carried, column, archived),
        answered=carried.mapped,
    )


def _function(name: str, carried: MigratedColumn, column: Column, archived: Types) -> Composable:
    """SQL: create a function that is true if a text casts to today's type and back without change."""
    text = SQL("value")
    new = _cast(text, carried, column, archived)
    old = None if carried.type is None else plain(archived, carried.type)
    comparable = old is not None and old not in UNCOMPARABLE
    same = SQL("({}::{}) IS NOT DISTINCT FROM value::{}").format(new, SQL(str(old)), SQL(str(old)))
    cast = SQL("({} IS NULL) = (value IS NULL)").format(new)
    return SQL(
        "CREATE OR REPLACE FUNCTION pg_temp.{}(value text) RETURNS boolean LANGUAGE plpgsql AS $fits$"
        " BEGIN RETURN {}; EXCEPTION WHEN OTHERS THEN RETURN false; END $fits$"
    ).format(Identifier(name), same if comparable else cast)
