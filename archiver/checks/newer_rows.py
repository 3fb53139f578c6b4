"""Count a tenant's rows that were written since a moment, by the catalog's time columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from archiver.catalog.model import TableName
from archiver.postgres.databases import Databases, Placement
from archiver.postgres.schema import Table, identifier
from archiver.postgres.selection import condition, select
from archiver.postgres.session import SQL, Composable, Identifier, Literal
from archiver.postgres.tenants import Tenant


@dataclass(frozen=True, kw_only=True)
class NewerRows:
    """The rows of a tenant that were written since a moment; tables without a time column are not counted."""

    tenant: Tenant
    by_table: Mapping[str, int]  # only where there are some

    @property
    def total(self) -> int:
        """The number of rows."""
        return sum(self.by_table.values())


def newer_rows(databases: Databases, tenant: Tenant, since: datetime) -> NewerRows:
    """Return the tenant's rows that were written since a moment, also those that another tenant needs."""
    placement = databases.placement(tenant.shard)
    values = select(placement, databases.model, tenant.id).values
    counts: dict[str, int] = {}
    for table in databases.model.tables:
        schema = placement.schemas[table.database]
        written = is_newer(databases.model.catalog.written, schema.tables[table.table], since)
        if written is not None:
            owned = condition(databases.model, schema, table, tenant.id, values)
            counts[str(table)] = _count(placement, table, owned, written)
    return NewerRows(tenant=tenant, by_table={table: rows for table, rows in counts.items() if rows})


def timeless(databases: Databases, shard: str) -> tuple[str, ...]:
    """Return the tables that have no time column, in which newer rows are not found."""
    schemas, model = databases.placement(shard).schemas, databases.model
    tables = {table: schemas[table.database].tables[table.table] for table in model.tables}
    return tuple(str(table) for table, shape in tables.items() if time_column(model.catalog.written, shape) is None)


def time_column(written: tuple[str, ...], shape: Table) -> str | None:
    """Return the first of these columns that the table has as a timestamp; None if it has none."""
    stamps = {column.name for column in shape.columns if column.type.startswith("timestamp")}
    return next((name for name in written if name in stamps), None)


def is_newer(written: tuple[str, ...], shape: Table, since: datetime, *alias: str) -> Composable | None:
    """SQL: the row was written since then; a column without a time zone is in UTC. None if the table can't tell.

    A row of infinity tells no time.
    """
    name = time_column(written, shape)
    if name is None:
        return None
    zoned = shape.type_of(name).endswith("with time zone")
    moment = since if zoned else since.astimezone(UTC).replace(tzinfo=None)
    return SQL("({column} >= {moment} AND isfinite({column}))").format(
        column=Identifier(*alias, name), moment=Literal(moment)
    )


def _count(placement: Placement, table: TableName, owned: Composable, written: Composable) -> int:
    query = SQL("SELECT count(*) FROM {} WHERE ({}) AND {}").format(identifier(table.table), owned, written)
    ((rows,),) = placement.sessions[table.database].rows(query, doing=f"counting the newer rows of {table}")
    return int(rows)
