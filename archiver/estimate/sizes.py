"""Estimate the size of each tenant: counted where that is cheap, and proportional to parent rows elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from archiver.catalog.model import MASTER, Model, TableName
from archiver.estimate import counting, table_sizes
from archiver.estimate.table_sizes import TableIn, TableSize
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.tenants import Tenant
from inventory.keys import Key

Rows = Mapping[Key, float]  # by tenant


@dataclass(frozen=True, kw_only=True)
class TenantSize:
    """The approximate size of a tenant."""

    tenant: Tenant
    rows: float
    bytes: float  # in the live tables
    heads: Mapping[str, float] = field(default_factory=dict)  # by table that a group is named after: its rows


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of all live tenants, biggest first."""

    tenants: tuple[TenantSize, ...]
    analyzed_at: datetime | None  # time of the oldest statistics; None: unknown


def read(databases: Databases) -> Sizes:
    """Read statistics and counts: one statement per database, and one per table near the tenant."""
    by_table = table_sizes.read(databases)
    all_tenants = tenants.every(databases.master, databases.model.tenant)
    tenant_sizes = shared_out(databases.model, all_tenants, by_table, counting.count(databases))
    times = [table.analyzed_at for table in by_table.values() if table.rows]
    return Sizes(
        tenants=tuple(sorted(tenant_sizes, key=lambda size: size.rows, reverse=True)),
        analyzed_at=None if None in times else min(filter(None, times), default=None),
    )


def shared_out(
    model: Model,
    all_tenants: Sequence[Tenant],
    by_table: Mapping[TableIn, TableSize],
    counted: Mapping[TableIn, Mapping[Key, int]],
) -> list[TenantSize]:
    """Distribute the rows and bytes of every table over the tenants; pure.

    Rows that were not counted are distributed in proportion to the rows they are found by.
    """
    rows: dict[TableName, dict[Key, float]] = {model.root: {tenant.id: 1.0 for tenant in all_tenants}}
    bytes_: dict[Key, float] = {tenant.id: 0.0 for tenant in all_tenants}
    for table in model.tables:
        parents = [rows[link.parent] for link in model.found_by(table) if not link.recursive]
        for at in [at for at in by_table if at.table == table]:
            tenant_ids = [tenant.id for tenant in all_tenants if at.name in (MASTER, tenant.shard)]
            counts = rows.get(table) if table == model.root else counted.get(at)
            rows_by_tenant = (
                _of(tenant_ids, counts)
                if counts is not None
                else _in_proportion(tenant_ids, by_table[at].rows, parents)
            )
            rows[table] = rows.get(table, {}) | rows_by_tenant
            for tenant_id, size in _bytes(rows_by_tenant, by_table[at]):
                bytes_[tenant_id] += size
    return [
        TenantSize(
            tenant=tenant,
            rows=sum(part.get(tenant.id, 0) for part in rows.values()),
            bytes=bytes_[tenant.id],
            heads={head.table: rows[head].get(tenant.id, 0) for head in model.heads},
        )
        for tenant in all_tenants
    ]


def _of(tenant_ids: Iterable[Key], counts: Mapping[Key, float]) -> dict[Key, float]:
    """Return the counts of these tenants."""
    return {tenant_id: counts.get(tenant_id, 0) for tenant_id in tenant_ids}


def _in_proportion(tenant_ids: Iterable[Key], rows: int, parents: Sequence[Rows]) -> dict[Key, float]:
    """Distribute rows over tenants in proportion to their parents' rows."""
    weights = {tenant_id: sum(parent.get(tenant_id, 0) for parent in parents) for tenant_id in tenant_ids}
    total = sum(weights.values()) or 1
    return {tenant_id: rows * weight / total for tenant_id, weight in weights.items()}


def _bytes(rows_by_tenant: Rows, size: TableSize) -> Iterable[tuple[Key, float]]:
    """Yield a table's bytes by tenant; as statistics may be outdated, the rows counted may exceed theirs."""
    total = max(size.rows, sum(rows_by_tenant.values())) or 1
    return ((tenant_id, size.bytes * rows / total) for tenant_id, rows in rows_by_tenant.items())
