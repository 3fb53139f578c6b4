"""How big each tenant is: counted where that is cheap, and below that in proportion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from archiver.catalog.model import MASTER, Model, TableName
from archiver.estimate import counting, table_sizes
from archiver.estimate.table_sizes import TableIn, TableSize
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.tenants import Exclude, Tenant

Rows = Mapping[int, float]  # by tenant


@dataclass(frozen=True, kw_only=True)
class TenantSize:
    """What a tenant holds, about."""

    tenant: Tenant
    rows: float
    bytes: float  # in the live tables


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Every live tenant, the biggest first."""

    tenants: tuple[TenantSize, ...]
    analyzed_at: datetime | None  # when the oldest of the statistics were made; none: nobody knows


def read(databases: Databases) -> Sizes:
    """Reads statistics and counts: a statement for each database, and for each table near the tenant."""
    held = table_sizes.read(databases)
    everybody = tenants.all_but(databases.master, databases.model.tenant, Exclude())
    found = shared_out(databases.model, everybody, held, counting.count(databases))
    times = [table.analyzed_at for table in held.values() if table.rows]
    return Sizes(
        tenants=tuple(sorted(found, key=lambda size: size.rows, reverse=True)),
        analyzed_at=None if None in times else min(filter(None, times), default=None),
    )


def shared_out(
    model: Model,
    everybody: Sequence[Tenant],
    held: Mapping[TableIn, TableSize],
    counted: Mapping[TableIn, Mapping[int, int]],
) -> list[TenantSize]:
    """Gives each tenant its part of every table; pure.

    Rows that were not counted are given out as those are that they are found by.
    """
    rows: dict[TableName, dict[int, float]] = {model.root: {tenant.id: 1.0 for tenant in everybody}}
    bytes_: dict[int, float] = {tenant.id: 0.0 for tenant in everybody}
    for table in model.tables:
        parents = [rows[link.parent] for link in model.found_by(table) if not link.recursive]
        for at in [at for at in held if at.table == table]:
            here = [tenant.id for tenant in everybody if at.name in (MASTER, tenant.shard)]
            known = rows.get(table) if table == model.root else counted.get(at)
            found = _of(here, known) if known is not None else _in_proportion(here, held[at].rows, parents)
            rows[table] = rows.get(table, {}) | found
            for tenant_id, size in _bytes(found, held[at]):
                bytes_[tenant_id] += size
    return [
        TenantSize(tenant=tenant, rows=sum(part.get(tenant.id, 0) for part in rows.values()), bytes=bytes_[tenant.id])
        for tenant in everybody
    ]


def _of(here: Iterable[int], known: Mapping[int, float]) -> dict[int, float]:
    return {tenant_id: known.get(tenant_id, 0) for tenant_id in here}


def _in_proportion(here: Iterable[int], rows: int, parents: Sequence[Rows]) -> dict[int, float]:
    weights = {tenant_id: sum(parent.get(tenant_id, 0) for parent in parents) for tenant_id in here}
    whole = sum(weights.values()) or 1
    return {tenant_id: rows * weight / whole for tenant_id, weight in weights.items()}


def _bytes(found: Rows, held: TableSize) -> Iterable[tuple[int, float]]:
    """A table's bytes by tenant; statistics may be older than the rows."""
    whole = max(held.rows, sum(found.values())) or 1
    return ((tenant_id, held.bytes * rows / whole) for tenant_id, rows in found.items())
