"""The size of each shard: tenants, rows and bytes, and the shard it was merged into."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from archiver.catalog.model import SHARD
from archiver.completeness.live import sizes
from archiver.postgres.databases import Databases
from archiver.postgres.tenants import every
from archiver.records.placement_history import placement_history


@dataclass(frozen=True, kw_only=True)
class ShardSize:
    """The size of one shard."""

    name: str
    tenants: int
    rows: int | None  # by PostgreSQL's statistics; None: a table was never analyzed
    bytes: int  # without indexes
    merged_into: str | None  # shard on which its archives are restored; None: itself


def shard_sizes(databases: Databases) -> list[ShardSize]:
    """Return the size of every shard of the inventory, from statistics: no table of a shard is read."""
    live = Counter(tenant.shard for tenant in every(databases.master, databases.model.tenant))
    aliases = placement_history(databases.master).aliases
    return [
        _shard_size(databases, name, live[name], aliases[name].target if name in aliases else None)
        for name in databases.shards
    ]


def _shard_size(databases: Databases, name: str, tenants: int, merged_into: str | None) -> ShardSize:
    """Return the size of one shard."""
    sizes_by_table = sizes(databases.session(name))
    tables = [sizes_by_table[table.table] for table in databases.model.of(SHARD)]
    counted = [size.rows for size in tables if size.rows is not None]
    return ShardSize(
        name=name,
        tenants=tenants,
        rows=sum(counted) if len(counted) == len(tables) else None,
        bytes=sum(size.bytes for size in tables),
        merged_into=merged_into,
    )
