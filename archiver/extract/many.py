"""Extraction of many tenants of one shard: one pass over each table, sorted by tenant on the way to disk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import IO

from archiver.catalog.model import Model, TableName
from archiver.extract import row_sets
from archiver.extract.one import Extract, manifest_of
from archiver.extract.row_sets import RowSets
from archiver.format import layout, rows
from archiver.format.rows import Pieces, Sorter
from archiver.postgres.databases import Placement
from archiver.postgres.row_versions import snapshot_text
from archiver.postgres.schema import TENANT, column_list, identifier
from archiver.postgres.session import SQL, Identifier
from archiver.postgres.tenants import Tenant


def extract_many(
    placement: Placement, model: Model, tenants: Sequence[Tenant], year: int, file: IO[bytes], memory: int
) -> Iterator[Extract]:
    """Read all tenants in one snapshot per database, then yield them one by one; their rows are in `file`.

    Memory holds at most `memory` bytes of rows.
    """
    began = time.monotonic()
    with ExitStack() as snapshots:
        for session in placement.sessions.values():
            snapshots.enter_context(session.rolled_back("REPEATABLE READ"))
        taken = {database: snapshot_text(session) for database, session in placement.sessions.items()}
        sets = row_sets.make(placement, model, [tenant.id for tenant in tenants])
        sorters = {table: _sorted(sets, table, file, memory) for table in model.tables}
        highest = _highest(placement, model)
    seconds = (time.monotonic() - began) / len(tenants)
    for tenant in tenants:
        own = {layout.member(table): sorter.rows(sets.number_of[tenant.id]) for table, sorter in sorters.items()}
        yield _extract(placement, model, tenant, year, own, highest, taken, seconds)


def _sorted(sets: RowSets, table: TableName, file: IO[bytes], memory: int) -> Sorter:
    sorter = Sorter(file, memory)
    query = SQL("SELECT m.{}, {} FROM {}").format(
        Identifier(TENANT), column_list(sets.shape(table), "c"), sets.source(table)
    )
    sets.placement.sessions[table.database].copy_out(query, sorter, doing=f"copying {table} out")
    sorter.flush()
    return sorter


def _highest(placement: Placement, model: Model) -> dict[TableName, dict[str, int]]:
    """Return each table's highest number from a sequence, of all tenants: one tenant's alone would cost a pass."""
    highest: dict[TableName, dict[str, int]] = {}
    for table in model.tables:
        shape, session = placement.schemas[table.database].tables[table.table], placement.sessions[table.database]
        numbered = [column.name for column in shape.columns if column.sequence]
        if numbered:
            columns = SQL(", ").join(SQL("max({})").format(Identifier(name)) for name in numbered)
            query = SQL("SELECT {} FROM {}").format(columns, identifier(table.table))
            values = session.row(query, doing=f"looking for the highest number in {table}")
            highest[table] = {
                f"{table}.{name}": value for name, value in zip(numbered, values, strict=True) if value is not None
            }
    return highest


def _extract(
    placement: Placement,
    model: Model,
    tenant: Tenant,
    year: int,
    own: Mapping[str, Pieces],
    highest: Mapping[TableName, Mapping[str, int]],
    taken: Mapping[str, str],
    seconds: float,
) -> Extract:
    above = {
        name: value
        for table, numbers in highest.items()
        if own[layout.member(table)].rows
        for name, value in numbers.items()
    }
    members = {name: rows.member(pieces) for name, pieces in own.items()}
    return Extract(
        tenant=tenant,
        year=year,
        manifest=manifest_of(placement, model, tenant, year, members, above),
        rows=own,
        snapshots=taken,
        seconds=seconds,
    )
