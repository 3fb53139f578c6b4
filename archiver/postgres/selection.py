"""Which rows are a tenant's, found table by table with arrays of ids: a fixed number of statements a tenant."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from archiver.catalog.model import Link, Model, TableName, Where
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema, Table, identifier, row_text
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session

Key = Any  # the value of one column, or a tuple of several
Values = Mapping[Link, list[Key]]  # what a link's columns must hold
# Where a row lies: the only name of a row without key, good while it is locked. A partitioned table has several places.
KEYLESS = ("tableoid", "ctid")


@dataclass(frozen=True, kw_only=True)
class SelectedRows:
    """The rows found in one table: their identity, and the values that link them with others."""

    identity: tuple[str, ...]  # primary key, or where the row lies
    # Of `rows`: identity first, then the linking columns, then for each condition of a link whether it holds.
    columns: tuple[str | Where, ...]
    rows: Sequence[tuple[Any, ...]]
    changed: int = 0  # of them, written since the snapshot that was asked about

    def key_of(self, columns: Sequence[str]) -> Callable[[tuple[Any, ...]], Key]:
        """What says of a row what it holds in these columns."""
        return itemgetter(*map(self.columns.index, columns))

    def key_in(self, link: Link) -> Callable[[tuple[Any, ...]], Key]:
        """What says of a row what it holds in a link's columns; None where it does not meet the link's condition."""
        key_of = self.key_of(link.columns)
        if link.where is None:
            return key_of
        place = self.columns.index(link.where)
        return lambda row: key_of(row) if row[place] else None

    def values(self, columns: Sequence[str]) -> list[Key]:
        """The distinct values of linking columns, without NULL, in order of appearance."""
        return [key for key in dict.fromkeys(map(self.key_of(columns), self.rows)) if is_complete_key(key)]

    def linked_keys(self, link: Link) -> set[Key]:
        """The keys by which these rows are found or needed in a link."""
        return {key for key in map(self.key_in(link), self.rows) if is_complete_key(key)}

    def identities(self) -> list[Key]:
        """The rows' identities."""
        return list(map(self.key_of(self.identity), self.rows))


@dataclass(frozen=True, kw_only=True)
class Selection:
    """All rows of a tenant, and by which values each table's were found."""

    by_table: Mapping[TableName, SelectedRows]
    values: Values


@dataclass(frozen=True, kw_only=True)
class RowLock:
    """Lock every row found, in key order, and count those written since a snapshot."""

    since: Mapping[str, str]  # database: a snapshot's xmin; without one, every row counts as written since


def is_complete_key(key: Key) -> bool:
    """Whether a key has no NULL in it: only then it can name a row."""
    return key is not None and not (isinstance(key, tuple) and None in key)


def select(
    placement: Placement,
    model: Model,
    tenant_id: int,
    *,
    lock: RowLock | None = None,
    link_values: Values | None = None,
) -> Selection:
    """Finds the tenant's rows, parents first, one statement a table.

    `known` gives the values of links whose parents are gone already.
    """
    found: dict[TableName, SelectedRows] = {}
    values: dict[Link, list[Any]] = dict(link_values or {})
    for table in model.tables:
        within = [link for link in model.found_by(table) if link.recursive]
        for link in model.found_by(table):
            if link not in values and not link.recursive:
                values[link] = found[link.parent].values(link.parent_columns)
        found[table] = _rows(placement, model, table, tenant_id, values, lock)
        values |= {link: found[table].values(link.parent_columns) for link in within if link not in values}
    return Selection(by_table=found, values=values)


def _rows(
    placement: Placement, model: Model, table: TableName, tenant_id: int, values: Values, lock: RowLock | None
) -> SelectedRows:
    where = condition(model, placement.schemas[table.database], table, tenant_id, values)
    return rows_where(placement, model, table, where, lock)


def rows_where(
    placement: Placement, model: Model, table: TableName, where: Composable, lock: RowLock | None = None
) -> SelectedRows:
    """The rows of a table that hold a condition, in key order."""
    identity = identity_of(placement.schemas[table.database].tables[table.table])
    columns = tuple(dict.fromkeys((*identity, *model.columns(table))))
    conditions = model.conditions(table)
    wanted = SQL(", ").join([*map(Identifier, columns), *map(_holds, conditions), _written_since(lock, table.database)])
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        wanted, identifier(table.table), where, SQL(", ").join(map(Identifier, identity))
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
    """Whether the row was written by a transaction that the snapshot did not see as past (age counts backwards)."""
    if lock is None:
        return SQL("false")
    if database not in lock.since:
        return SQL("true")
    return SQL("age(xmin) <= age({}::xid)").format(Literal(lock.since[database]))


def identity_of(table: Table) -> tuple[str, ...]:
    """The columns that name a row of this table."""
    return table.primary_key or KEYLESS


def condition(model: Model, schema: Schema, table: TableName, tenant_id: int, values: Values) -> Composable:
    """The WHERE that finds the tenant's rows of a table."""
    shape = schema.tables[table.table]
    if table == model.root:
        return SQL("{} = {}").format(Identifier(model.tenant.key), Literal(tenant_id))
    near = SQL(" OR ").join(_linked(shape, link, values[link]) for link in model.found_by(table) if link in values)
    within = [link for link in model.found_by(table) if link.recursive]
    return _below(table, identity_of(shape), near, within) if within else near


def _linked(shape: Table, link: Link, values: list[Key]) -> Composable:
    return narrowed(among(shape, link.columns, values), link)


def narrowed(condition: Composable, link: Link, *alias: str) -> Composable:
    """A condition, and the one that the link itself makes of its child."""
    if link.where is None:
        return condition
    return SQL("({} AND {})").format(condition, _holds(link.where, *alias))


def _holds(where: Where, *alias: str) -> Composable:
    """Whether a link's condition holds; PostgreSQL alone knows what equals what in the column's type."""
    column, value = where
    return SQL("{} = {}").format(Identifier(*alias, column), Literal(value))


def _below(table: TableName, identity: Sequence[str], near: Composable, within: Sequence[Link]) -> Composable:
    """Rows near the tenant, and the rows of the same table that those lead to, however far."""
    columns = list(dict.fromkeys([*identity, *(name for link in within for name in link.parent_columns)]))
    return SQL(
        "({identity}) IN (WITH RECURSIVE found AS (SELECT {columns} FROM {table} WHERE {near}"
        " UNION SELECT {next} FROM {table} c JOIN found f ON {step}) SELECT {identity} FROM found)"
    ).format(
        identity=SQL(", ").join(map(Identifier, identity)),
        columns=SQL(", ").join(map(Identifier, columns)),
        next=SQL(", ").join(Identifier("c", name) for name in columns),
        table=identifier(table.table),
        near=near,
        step=SQL(" OR ").join(narrowed(matched(link, "c", "f"), link, "c") for link in within),
    )


def matched(link: Link, child: str, parent: str) -> Composable:
    """That a row under one alias is linked to a row under the other."""
    pairs = zip(link.columns, link.parent_columns, strict=True)
    alike = SQL("{} = {}")
    return SQL(" AND ").join(alike.format(Identifier(child, one), Identifier(parent, two)) for one, two in pairs)


def among(shape: Table, columns: Sequence[str], keys: Iterable[Key]) -> Composable:
    """That the columns hold one of these keys: `id = ANY('{…}'::bigint[])`, or rows of unnested arrays."""
    return holding(columns, shape, columns, keys)


def holding(columns: Sequence[str], shape: Table, typed_as: Sequence[str], keys: Iterable[Key]) -> Composable:
    """The same for columns of any table; the keys are of the type of a shape's columns."""
    listed = list(keys)
    if len(columns) == 1:
        return SQL("{} = ANY({})").format(Identifier(columns[0]), array(shape, typed_as[0], listed))
    arrays = [array(shape, name, [key[place] for key in listed]) for place, name in enumerate(typed_as)]
    pairs = SQL("({}) IN (SELECT * FROM unnest({}))").format(
        SQL(", ").join(map(Identifier, columns)), SQL(", ").join(arrays)
    )
    # By the place alone a row is found without a scan.
    return SQL("{} = ANY({}) AND {}").format(Identifier("ctid"), arrays[1], pairs) if columns == KEYLESS else pairs


def array(shape: Table, column: str, values: Iterable[Any]) -> Composable:
    """Values as an array of the column's type; of the widest, where the values may come from a wider column."""
    listed = list(values)
    if all(type(value) is int for value in listed):
        # psycopg2 would quote each by itself, which takes longer than to look it up.
        return SQL("{}::{}[]").format(Literal(f"{{{','.join(map(str, listed))}}}"), SQL(key_type(shape, column)))
    return SQL("{}::{}[]").format(Literal(listed), SQL(key_type(shape, column)))


def key_type(shape: Table, column: str) -> str:
    """The type for values that are compared with a column: the widest, where they may come from a wider one."""
    kind = _PLACE.get(column) or shape.type_of(column)
    return _WIDEST.get(kind, kind)


_PLACE = {"tableoid": "oid", "ctid": "tid"}  # types of what no table lists
_WIDEST = {"smallint": "bigint", "integer": "bigint"}


def row_order(table: Table) -> Composable:
    """An order that is the same each time: by key, or by the whole row where there is none."""
    if table.primary_key:
        return SQL(", ").join(map(Identifier, table.primary_key))
    return SQL('{} COLLATE "C"').format(row_text(column.name for column in table.copied))


def snapshot_xmin(session: Session) -> str:
    """The oldest transaction that this transaction's snapshot does not see as past, as a 32-bit xid."""
    query = "SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::bigint::text"
    return str(session.row(query, doing="reading the snapshot")[0])
