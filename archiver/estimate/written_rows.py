"""Count what was written since a moment, such as that of a backup: rows, and the tenants whose rows they are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

from archiver.catalog.model import MASTER, Link, Model, TableName
from archiver.checks.newer_rows import is_newer
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Table, identifier
from archiver.postgres.selection import narrowed
from archiver.postgres.session import SQL, Composable, Identifier, Literal
from inventory.figures import Written

FROM = "t0"  # the alias of the table that a query begins with


def written_since(databases: Databases, since: datetime, *, seen: bool) -> Written:
    """Count the rows of all carried tables that were written since a moment, whoever's they are.

    A row that was only deleted since then is not seen, and neither is one of a table without a time column.
    """
    rows, tenants, timeless = 0, set[Any](), []
    for table in databases.model.tables:
        for name in (MASTER,) if table.database == MASTER else databases.shards:
            condition = is_newer(databases.model.catalog.written, _shape(databases, table), since, FROM)
            if condition is None:
                timeless.append(str(table))
                break
            written = _count(databases, name, table, condition)
            rows += written
            tenants |= _tenants(databases, name, table, condition) if written else set()
    return Written(since=since, seen=seen, tenants=len(tenants), rows=rows, timeless=tuple(timeless))


def _shape(databases: Databases, table: TableName) -> Table:
    return databases.schema(MASTER if table.database == MASTER else databases.shards[0]).tables[table.table]


def _count(databases: Databases, name: str, table: TableName, condition: Composable) -> int:
    query = SQL("SELECT count(*) FROM {} {} WHERE {}").format(identifier(table.table), Identifier(FROM), condition)
    ((rows,),) = databases.session(name).rows(query, doing=f"counting what was written into {table}")
    return int(rows)


def _tenants(databases: Databases, name: str, table: TableName, condition: Composable) -> set[Any]:
    """Return the tenants of those rows of a table in one database that fulfil a condition, by every way up."""
    tenants = set[Any]()
    for path in _paths(databases.model, table):
        tenants |= _by_path(databases, name, table, path, condition)
    return tenants


def _by_path(
    databases: Databases, name: str, table: TableName, path: Sequence[Link], condition: Composable
) -> set[Any]:
    """Return the tenants of the rows: joined up to the tenant's table, or looked up in master from there on."""
    across = path[-1] if path and path[-1].parent.database != table.database else None
    joins = path[:-1] if across else path
    top, columns = f"t{len(joins)}", across.columns if across else databases.model.tenant.key_columns
    query = SQL("SELECT DISTINCT {columns} FROM {first} {alias}{joined} WHERE {condition}").format(
        columns=SQL(", ").join(Identifier(top, column) for column in columns),
        first=identifier(table.table),
        alias=Identifier(FROM),
        joined=SQL("").join(_join(link, number) for number, link in enumerate(joins)),
        condition=narrowed(condition, across, top) if across else condition,
    )
    keys = databases.session(name).rows(query, doing=f"looking for whose rows were written into {table}")
    if across is None:
        return set(keys)
    return _tenants(databases, MASTER, across.parent, _is_one_of(across.parent_columns, keys)) if keys else set()


def _paths(model: Model, table: TableName) -> Iterator[tuple[Link, ...]]:
    """Yield each way from a table up to the tenant's, or from a shard to master; a shard's row leads back to master."""
    if table == model.root:
        yield ()
    for link in model.found_by(table):
        if link.parent.database == table.database and not link.recursive:
            yield from ((link, *further) for further in _paths(model, link.parent))
        elif link.parent.database == MASTER:
            yield (link,)


def _join(link: Link, number: int) -> Composable:
    child, parent = f"t{number}", f"t{number + 1}"
    pairs = zip(link.columns, link.parent_columns, strict=True)
    equal = SQL(" AND ").join(
        SQL("{} = {}").format(Identifier(child, column), Identifier(parent, other)) for column, other in pairs
    )
    table, condition = identifier(link.parent.table), narrowed(equal, link, child)
    return SQL(" JOIN {} {} ON {}").format(table, Identifier(parent), condition)


def _is_one_of(columns: Sequence[str], keys: Collection[tuple[Any, ...]]) -> Composable:
    """SQL: the row has one of these keys."""
    values = SQL(", ").join(SQL("({})").format(SQL(", ").join(map(Literal, key))) for key in keys)
    return SQL("({}) IN ({})").format(SQL(", ").join(Identifier(FROM, column) for column in columns), values)
