"""Selection of one tenant's rows, table by table, by arrays of keys: a fixed number of statements a tenant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from archiver.catalog.model import Link, Model, TableName, Where
from archiver.postgres.databases import Placement
from archiver.postgres.migrated import migrated_since
from archiver.postgres.schema import Schema, Table, identifier, row_text
from archiver.postgres.session import SQL, Composable, Identifier, Literal
from inventory import keys

Key = Any  # the value of one column, or a tuple of several
Values = Mapping[Link, list[Key]]  # the values that a link's columns may have
# The position of a row, valid while it is locked: its only identity if the table has no key. Partitions need tableoid.
KEYLESS = ("tableoid", "ctid")


@dataclass(frozen=True, kw_only=True)
class SelectedRows:
    """The selected rows of one table: their identity, and the values that link them with other rows."""

    identity: tuple[str, ...]  # the primary key's columns, or KEYLESS
    # The columns of `rows`: identity, then linking columns, then the truth of each link condition.
    columns: tuple[str | Where, ...]
    rows: Sequence[tuple[Any, ...]]
    changed: int = 0  # the number of these rows that were written after a RowLock's snapshot

    def key_of(self, columns: Sequence[str]) -> Callable[[tuple[Any, ...]], Key]:
        """Return a function from a row to its values in these columns."""
        return itemgetter(*map(self.columns.index, columns))

    def key_in(self, link: Link) -> Callable[[tuple[Any, ...]], Key]:
        """Return a function from a row to its key in a link's columns; None if the link's condition is not met."""
        key_of = self.key_of(link.columns)
        if link.where is None:
            return key_of
        position = self.columns.index(link.where)
        return lambda row: key_of(row) if row[position] else None

    def values(self, columns: Sequence[str]) -> list[Key]:
        """Return the distinct keys in these columns, without NULL, in order of appearance."""
        return [key for key in dict.fromkeys(map(self.key_of(columns), self.rows)) if is_complete_key(key)]

    def linked_keys(self, link: Link) -> set[Key]:
        """Return the keys of these rows in a link's columns, if they meet its condition."""
        return {key for key in map(self.key_in(link), self.rows) if is_complete_key(key)}

    def identities(self) -> list[Key]:
        """Return the identities of the rows."""
        return list(map(self.key_of(self.identity), self.rows))


@dataclass(frozen=True, kw_only=True)
class Selection:
    """All rows of a tenant, and the values of each link by which they were found."""

    by_table: Mapping[TableName, SelectedRows]
    values: Values


@dataclass(frozen=True, kw_only=True)
class RowLock:
    """An order to lock every selected row, in key order, and to count those written after a snapshot."""

    since: Mapping[str, str]  # by database: a trusted snapshot's transaction id; without it, every row counts


def is_complete_key(key: Key) -> bool:
    """True if a key has no NULL in it: only then can it identify a row."""
    return key is not None and not (isinstance(key, tuple) and None in key)


def select(
    placement: Placement,
    model: Model,
    tenant_id: keys.Key,
    *,
    lock: RowLock | None = None,
    link_values: Values | None = None,
) -> Selection:
    """Select the tenant's rows, parents first, one statement a table.

    `link_values` gives the values of links whose parent rows are already deleted.
    """
    by_table: dict[TableName, SelectedRows] = {}
    values: dict[Link, list[Any]] = dict(link_values or {})
    lock = lock and _without_migrated(placement, lock)
    for table in model.tables:
        recursive = [link for link in model.found_by(table) if link.recursive]
        for link in model.found_by(table):
            if link not in values and not link.recursive:
                values[link] = by_table[link.parent].values(link.parent_columns)
        by_table[table] = _rows(placement, model, table, tenant_id, values, lock)
        values |= {link: by_table[table].values(link.parent_columns) for link in recursive if link not in values}
    return Selection(by_table=by_table, values=values)


def _without_migrated(placement: Placement, lock: RowLock) -> RowLock:
    """Return the lock without the snapshots of databases in which row versions do not show every change since."""
    return RowLock(
        since={name: xid for name, xid in lock.since.items() if not migrated_since(placement.sessions[name], xid)}
    )


def _rows(
    placement: Placement, model: Model, table: TableName, tenant_id: keys.Key, values: Values, lock: RowLock | None
) -> SelectedRows:
    where = condition(model, placement.schemas[table.database], table, tenant_id, values)
    return rows_where(placement, model, table, where, lock)


def rows_where(
    placement: Placement, model: Model, table: TableName, where: Composable, lock: RowLock | None = None
) -> SelectedRows:
    """Return the rows of a table that meet a condition, in key order; lock them if asked to."""
    identity = identity_of(placement.schemas[table.database].tables[table.table])
    columns = tuple(dict.fromkeys((*identity, *model.columns(table))))
    conditions = model.conditions(table)
    selected = SQL(", ").join(
        [*map(Identifier, columns), *map(_holds, conditions), _written_since(lock, table.database)]
    )
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        selected, identifier(table.table), where, SQL(", ").join(map(Identifier, identity))
    )
    if lock is not None:
        query = SQL("{} FOR UPDATE").format(query)
    rows = placement.sessions[table.database].keys(query, doing=f"finding the rows of {table}")
    return SelectedRows(
        identity=identity,
        columns=(*columns, *conditions),
        rows=[row[:-1] for row in rows],
        changed=sum(1 for row in rows if row[-1]),
    )


def _written_since(lock: RowLock | None, database: str) -> Composable:
    """SQL: the row was written by a transaction that the snapshot did not see as ended (age counts backwards)."""
    if lock is None:
        return SQL("false")
    if database not in lock.since:
        return SQL("true")
    return SQL("age(xmin) <= age({}::xid)").format(Literal(lock.since[database]))


def identity_of(table: Table) -> tuple[str, ...]:
    """Return the columns that identify a row of this table."""
    return table.primary_key or KEYLESS


def condition(model: Model, schema: Schema, table: TableName, tenant_id: keys.Key, values: Values) -> Composable:
    """SQL: the row of this table belongs to the tenant."""
    shape = schema.tables[table.table]
    if table == model.root:
        return among(shape, model.tenant.key_columns, [tenant_id])
    linked = SQL(" OR ").join(_linked(shape, link, values[link]) for link in model.found_by(table) if link in values)
    recursive = [link for link in model.found_by(table) if link.recursive]
    return _with_descendants(table, identity_of(shape), linked, recursive) if recursive else linked


def _linked(shape: Table, link: Link, values: list[Key]) -> Composable:
    return narrowed(among(shape, link.columns, values), link)


def narrowed(condition: Composable, link: Link, *alias: str) -> Composable:
    """SQL: a condition, and the link's own condition on its child, if it has one."""
    if link.where is None:
        return condition
    return SQL("({} AND {})").format(condition, _holds(link.where, *alias))


def _holds(where: Where, *alias: str) -> Composable:
    """SQL: a link's condition is true; PostgreSQL compares, by the column's type."""
    column, value = where
    return SQL("{} = {}").format(Identifier(*alias, column), Literal(value))


def _with_descendants(
    table: TableName, identity: Sequence[str], linked: Composable, recursive: Sequence[Link]
) -> Composable:
    """SQL: the row is linked to the tenant, or lies below such a row of the same table, at any depth."""
    columns = list(dict.fromkeys([*identity, *(name for link in recursive for name in link.parent_columns)]))
    return SQL(
        "({identity}) IN (WITH RECURSIVE found AS (SELECT {columns} FROM {table} WHERE {linked}"
        " UNION SELECT {next} FROM {table} c JOIN found f ON {step}) SELECT {identity} FROM found)"
    ).format(
        identity=SQL(", ").join(map(Identifier, identity)),
        columns=SQL(", ").join(map(Identifier, columns)),
        next=SQL(", ").join(Identifier("c", name) for name in columns),
        table=identifier(table.table),
        linked=linked,
        step=SQL(" OR ").join(narrowed(matched(link, "c", "f"), link, "c") for link in recursive),
    )


def matched(link: Link, child: str, parent: str) -> Composable:
    """SQL: the row of one alias is linked to the row of the other."""
    pairs = zip(link.columns, link.parent_columns, strict=True)
    equal = SQL("{} = {}")
    return SQL(" AND ").join(equal.format(Identifier(child, a), Identifier(parent, b)) for a, b in pairs)


def among(shape: Table, columns: Sequence[str], keys: Iterable[Key]) -> Composable:
    """SQL: the columns hold one of these keys: `id = ANY('{…}'::bigint[])`, or a row of unnested arrays."""
    return holding(columns, shape, columns, keys)


def holding(columns: Sequence[str], shape: Table, typed_as: Sequence[str], keys: Iterable[Key]) -> Composable:
    """SQL: the same for columns of any table; the keys have the types of the columns `typed_as` of `shape`."""
    listed = list(keys)
    if len(columns) == 1:
        return SQL("{} = ANY({})").format(Identifier(columns[0]), array(shape, typed_as[0], listed))
    arrays = [array(shape, name, [key[position] for key in listed]) for position, name in enumerate(typed_as)]
    pairs = SQL("({}) IN (SELECT * FROM unnest({}))").format(
        SQL(", ").join(map(Identifier, columns)), SQL(", ").join(arrays)
    )
    # PostgreSQL finds a row by ctid without a scan of the table.
    return SQL("{} = ANY({}) AND {}").format(Identifier("ctid"), arrays[1], pairs) if columns == KEYLESS else pairs


def array(shape: Table, column: str, values: Iterable[Any]) -> Composable:
    """SQL: values as an array of the column's type, widened if the values may come from a wider column."""
    listed = list(values)
    if all(type(value) is int for value in listed):
        # psycopg2 would quote each number, which takes longer than the look-up itself.
        return SQL("{}::{}[]").format(Literal(f"{{{','.join(map(str, listed))}}}"), SQL(key_type(shape, column)))
    kind = key_type(shape, column)
    # A cast to a whole number would round 1.5, and so find the row of another number.
    return SQL("{}::{}[]").format(Literal(listed), SQL("numeric" if kind == "bigint" else kind))


def key_type(shape: Table, column: str) -> str:
    """Return the type for values compared with a column, widened: they may come from a wider or longer column."""
    kind = _SYSTEM_TYPES.get(column) or _LENGTH.sub("", shape.type_of(column))
    return _WIDEST.get(kind, kind)


_SYSTEM_TYPES = {"tableoid": "oid", "ctid": "tid"}
# A cast to the column's own length would cut or round a value, and so find the row of another one.
_LENGTH = re.compile(r"\([0-9, -]+\)")
_WIDEST = {"smallint": "bigint", "integer": "bigint", "character": "bpchar", "bit": 'pg_catalog."bit"'}


def row_order(table: Table) -> Composable:
    """SQL: a stable order: by primary key, or by the row's text if there is none."""
    if table.primary_key:
        return SQL(", ").join(map(Identifier, table.primary_key))
    return SQL('{} COLLATE "C"').format(row_text(column.name for column in table.copied))
