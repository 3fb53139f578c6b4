"""The values by which an archive's rows refer to each other, as the server compares them: not as COPY writes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from archiver.catalog.model import TableName, Where
from archiver.format.bundle import Archive
from archiver.load.staged import Staged
from archiver.mapping.column_types import plain
from archiver.postgres.schema import Schema
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from archiver.verify.scratch import ScratchDatabase
from archiver.verify.verify import load_scratch

Key = tuple[str, ...]  # values as text: equal values are equal texts
Selected = tuple[str | Where, ...]  # columns, and conditions
_NUMBERS = ("smallint", "integer", "bigint", "numeric")
_FLOATS = ("real", "double precision")


@dataclass(frozen=True, kw_only=True)
class RowValues:
    """Values of one table's rows, by line number."""

    columns: Selected
    rows: Sequence[tuple[str | bool | None, ...]]

    def key(self, number: int, columns: Iterable[str]) -> Key | None:
        """Return a row's values in these columns; None if one is NULL: then they lead nowhere."""
        row = self.rows[number]
        values = [row[self.columns.index(column)] for column in columns]
        return None if None in values else tuple(map(str, values))

    def holds(self, number: int, where: Where | None) -> bool:
        """True if a row meets a condition, or there is none."""
        return where is None or self.rows[number][self.columns.index(where)] is True


def read_values(
    archive: Archive, scratch: ScratchDatabase, requested: Iterable[tuple[TableName, str | Where]]
) -> Mapping[TableName, RowValues]:
    """Return these values of every row, and the truth of these conditions: the archive is loaded to read them.

    Numbers of all types compare, and so do generated columns.
    """
    columns: defaultdict[TableName, dict[str | Where, None]] = defaultdict(dict)
    for table, column in requested:
        columns[table][column] = None
    return {
        table: values
        for database, schema in archive.manifest.schemas.items()
        for table, values in _of_database(archive, scratch, database, schema, columns).items()
    }


def _of_database(
    archive: Archive,
    scratch: ScratchDatabase,
    database: str,
    schema: Schema,
    requested: Mapping[TableName, Iterable[str | Where]],
) -> dict[TableName, RowValues]:
    values = {}
    with scratch.empty(schema) as relations:
        for name, shape in schema.tables.items():
            table = TableName(database, name)
            columns = tuple(requested.get(table, ()))
            if columns:
                load_scratch([archive], table, shape, relations[name], scratch)
                selected = SQL(", ").join(_value(schema, name, column, _operand(column)) for column in columns)
                # A table filled in one transaction has its rows in the order in which they were loaded.
                query = SQL("SELECT {} FROM {} ORDER BY ctid").format(selected, relations[name])
                rows = scratch.session.rows(query, doing=f"reading the keys of {table}")
                values[table] = RowValues(columns=columns, rows=rows)
    return values


def _operand(column: str | Where) -> Composable:
    return Identifier(column if isinstance(column, str) else column[0])


def staged_values(session: Session, schema: Schema, staged: Staged, columns: Selected) -> RowValues:
    """Return these values of every staged row, in the order of the archive; NULL where today's column is new."""
    selected = SQL(", ").join(_staged_value(schema, staged, column) for column in columns)
    # A table filled in one transaction has its rows in the order in which they were loaded.
    query = SQL("SELECT {} FROM {} ORDER BY ctid").format(selected, staged.relation)
    return RowValues(columns=columns, rows=session.rows(query, doing=f"reading the keys of {staged.table}"))


def _staged_value(schema: Schema, staged: Staged, column: str | Where) -> Composable:
    """SQL: a staged column's value as text, or the truth of a condition; a generated column is computed."""
    name, table = column if isinstance(column, str) else column[0], staged.table.table
    expressions = {each.name: each.generated for each in schema.tables[table].columns if each.generated}
    if name in staged.column_names:
        return _value(schema, table, column, Identifier(name))
    return _value(schema, table, column, SQL("({})").format(SQL(expressions[name]))) if name in expressions else _NULL


_NULL = SQL("NULL")


def _value(schema: Schema, table: str, column: str | Where, operand: Composable) -> Composable:
    """SQL: a column's value as text, or the truth of a condition; `operand` is the column."""
    if not isinstance(column, str):
        return SQL("{} = {}").format(operand, Literal(column[1]))
    kind = plain(schema.types, schema.tables[table].type_of(column))
    if kind.startswith(_NUMBERS) and "[" not in kind:
        return SQL("trim_scale({}::numeric)::text").format(operand)
    # A zero may have a sign.
    return SQL("({} + 0)::text" if kind in _FLOATS else "{}::text").format(operand)
