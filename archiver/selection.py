"""Which rows are a tenant's, found table by table with arrays of ids: a fixed number of statements a tenant."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archiver.catalog import Link, Model, TableName
from archiver.postgres import SQL, Composable, Identifier, Literal, Session
from archiver.schema import Schema, Table, identifier
from archiver.workplace import Site

Values = Mapping[Link, list[Any]]  # what a link's column must hold
KEYLESS = ("ctid",)  # where a row lies: the only name of a row without key, good while it is locked


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The rows found in one table: their identity, and the values that link them with others."""

    identity: tuple[str, ...]  # primary key, or where the row lies
    columns: tuple[str, ...]  # of `rows`: identity first, then the linking columns
    rows: Sequence[tuple[Any, ...]]
    changed: int = 0  # of them, written since the snapshot that was asked about

    def values(self, column: str) -> list[Any]:
        """The distinct values of a linking column, without NULL, in order of appearance."""
        place = self.columns.index(column)
        return list(dict.fromkeys(row[place] for row in self.rows if row[place] is not None))

    def identities(self) -> list[tuple[Any, ...]]:
        """The rows' identities."""
        return [row[: len(self.identity)] for row in self.rows]


@dataclass(frozen=True, kw_only=True)
class Selection:
    """All rows of a tenant, and by which values each table's were found."""

    found: Mapping[TableName, Rows]
    values: Values


@dataclass(frozen=True, kw_only=True)
class Lock:
    """Lock every row found, in key order, and count those written since a snapshot."""

    since: Mapping[str, str]  # database: a snapshot's xmin; without one, every row counts as written since


def select(
    site: Site, model: Model, tenant_id: int, *, lock: Lock | None = None, known: Values | None = None
) -> Selection:
    """Finds the tenant's rows, parents first, one statement a table.

    `known` gives the values of links whose parents are gone already.
    """
    found: dict[TableName, Rows] = {}
    values: dict[Link, list[Any]] = dict(known or {})
    for table in model.tables:
        for link in model.found_by(table):
            if link not in values:
                values[link] = found[link.parent].values(link.parent_column)
        found[table] = _rows(site, model, table, tenant_id, values, lock)
    return Selection(found=found, values=values)


def _rows(site: Site, model: Model, table: TableName, tenant_id: int, values: Values, lock: Lock | None) -> Rows:
    schema = site.schemas[table.database]
    identity = identity_of(schema.tables[table.table])
    columns = (*identity, *(name for name in model.columns(table) if name not in identity))
    where = condition(model, schema, table, tenant_id, values)
    wanted = SQL(", ").join([*map(Identifier, columns), _written_since(lock, table.database)])
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        wanted, identifier(table.table), where, SQL(", ").join(map(Identifier, identity))
    )
    if lock is not None:
        query = SQL("{} FOR UPDATE").format(query)
    rows = site.sessions[table.database].rows(query, doing=f"finding the rows of {table}")
    return Rows(
        identity=identity, columns=columns, rows=[row[:-1] for row in rows], changed=sum(1 for row in rows if row[-1])
    )


def _written_since(lock: Lock | None, database: str) -> Composable:
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
    return SQL(" OR ").join(_linked(shape, link, values[link]) for link in model.found_by(table))


def _linked(shape: Table, link: Link, values: list[Any]) -> Composable:
    where = among(shape, (link.column,), [(value,) for value in values])
    if link.where is None:
        return where
    return SQL("({} AND {} = {})").format(where, Identifier(link.where[0]), Literal(link.where[1]))


def among(shape: Table, columns: Sequence[str], values: Iterable[tuple[Any, ...]]) -> Composable:
    """That the columns hold one of these values: `id = ANY('{…}'::bigint[])`, or rows of unnested arrays."""
    listed = list(values)
    arrays = [array(shape, column, [value[place] for value in listed]) for place, column in enumerate(columns)]
    if len(columns) == 1:
        return SQL("{} = ANY({})").format(Identifier(columns[0]), arrays[0])
    return SQL("({}) IN (SELECT * FROM unnest({}))").format(
        SQL(", ").join(map(Identifier, columns)), SQL(", ").join(arrays)
    )


def array(shape: Table, column: str, values: Iterable[Any]) -> Composable:
    """Values as an array of the column's type."""
    kind = "tid" if column == "ctid" else shape.type_of(column)
    return SQL("{}::{}[]").format(Literal(list(values)), SQL(kind))


def row_order(table: Table) -> Composable:
    """An order that is the same each time: by key, or by the whole row where there is none."""
    if table.primary_key:
        return SQL(", ").join(map(Identifier, table.primary_key))
    columns = SQL(", ").join(Identifier(column.name) for column in table.copied)
    return SQL('ROW({})::text COLLATE "C"').format(columns)


def snapshot_xmin(session: Session) -> str:
    """The oldest transaction that this transaction's snapshot does not see as past, as a 32-bit xid."""
    query = "SELECT (pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::bigint::text"
    return str(session.row(query, doing="reading the snapshot")[0])
