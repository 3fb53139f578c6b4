"""How many rows and bytes the carried tables hold, in every database."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from archiver.catalog.model import MASTER, SHARD, TableName
from archiver.completeness import live
from archiver.postgres.databases import Databases
from errors import RefusedError


@dataclass(frozen=True)
class TableIn:
    """A table of one database."""

    name: str  # the database's, in the inventory
    table: TableName


@dataclass(frozen=True, kw_only=True)
class TableSize:
    """What one table holds."""

    rows: int
    bytes: int  # without its indexes
    analyzed_at: datetime | None


def read(databases: Databases) -> Mapping[TableIn, TableSize]:
    """Reads every carried table's statistics, a statement a database; RefusedError where there are none of a table."""
    found = {at: size for name in (MASTER, *databases.shards) for at, size in _sizes(databases, name).items()}
    unknown = sorted(f"{at.name}.{at.table.table}" for at, size in found.items() if size.rows is None)
    if unknown:
        raise RefusedError(
            f"Estimating refused: PostgreSQL has no statistics of {', '.join(unknown)}.",
            hint="Run ANALYZE in each of these databases.",
        )
    return {
        at: TableSize(rows=size.rows or 0, bytes=size.bytes, analyzed_at=size.analyzed_at) for at, size in found.items()
    }


def _sizes(databases: Databases, name: str) -> dict[TableIn, live.LiveTableSize]:
    sizes = live.sizes(databases.session(name))
    return {
        TableIn(name, table): sizes[table.table] for table in databases.model.of(MASTER if name == MASTER else SHARD)
    }
