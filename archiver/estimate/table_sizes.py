"""Read the rows and bytes of the carried tables in every database."""

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

    name: str  # of the database, in the inventory
    table: TableName


@dataclass(frozen=True, kw_only=True)
class TableSize:
    """The size of one table."""

    rows: int
    bytes: int  # without its indexes
    analyzed_at: datetime | None


def read(databases: Databases) -> Mapping[TableIn, TableSize]:
    """Read every carried table's statistics, one statement per database. Raises RefusedError if a table has none."""
    sizes = {at: size for name in (MASTER, *databases.shards) for at, size in _sizes(databases, name).items()}
    unknown = sorted(f"{at.name}.{at.table.table}" for at, size in sizes.items() if size.rows is None)
    if unknown:
        raise RefusedError(
            f"Estimating refused: PostgreSQL has no statistics of {', '.join(unknown)}.",
            hint="Run ANALYZE in each of these databases.",
        )
    return {
        at: TableSize(rows=size.rows or 0, bytes=size.bytes, analyzed_at=size.analyzed_at) for at, size in sizes.items()
    }


def _sizes(databases: Databases, name: str) -> dict[TableIn, live.LiveTableSize]:
    """Read the statistics of one database."""
    sizes = live.sizes(databases.session(name))
    return {
        TableIn(name, table): sizes[table.table] for table in databases.model.of(MASTER if name == MASTER else SHARD)
    }
