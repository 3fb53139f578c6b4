"""Extraction of one tenant into spool files: the keys read from one table select the rows of the next."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from archiver.catalog.model import Link, Model, TableName
from archiver.format import layout
from archiver.format.manifest import Manifest, Member
from archiver.format.rows import CopyRows, RowFile, Spool
from archiver.postgres.databases import Placement
from archiver.postgres.operator import TOOL_VERSION
from archiver.postgres.pins import SETTINGS
from archiver.postgres.row_versions import snapshot_text
from archiver.postgres.schema import WHOLE_NUMBERS, Column, Table, column_list, identifier
from archiver.postgres.selection import Key, Selection, Values, condition, is_complete_key, row_order
from archiver.postgres.session import SQL, Identifier
from archiver.postgres.tenants import Tenant
from inventory.keys import Key as TenantKey


@dataclass(frozen=True, kw_only=True)
class Extract:
    """One tenant's rows in spool files, from one snapshot per database."""

    tenant: Tenant
    year: int
    manifest: Manifest
    rows: Mapping[str, CopyRows]  # by member
    snapshots: Mapping[str, str]  # by database: the snapshot that the rows were read in, as row_versions has it
    seconds: float


def extract_one(placement: Placement, model: Model, tenant: Tenant, year: int, work: Path) -> Extract:
    """Read one tenant's rows in one snapshot per database. `work` must be empty."""
    began = time.monotonic()
    files = {table: work / f"{number}.copy" for number, table in enumerate(model.tables)}
    members: dict[str, Member] = {}
    values: dict[Link, list[Key]] = {}
    with ExitStack() as snapshots:
        for session in placement.sessions.values():
            snapshots.enter_context(session.rolled_back("REPEATABLE READ READ ONLY"))
        taken = {database: snapshot_text(session) for database, session in placement.sessions.items()}
        for table, path in files.items():
            members[layout.member(table)] = _spooled(placement, model, table, values, tenant.id, path)
            for link in model.links:
                if link.parent == table and not link.recursive:
                    values[link] = _keys(placement, model, link, values, tenant.id, path)
    return Extract(
        tenant=tenant,
        year=year,
        manifest=manifest_of(placement, model, tenant, year, members, highest(placement, files)),
        rows={layout.member(table): RowFile(path) for table, path in files.items()},
        snapshots=taken,
        seconds=time.monotonic() - began,
    )


def spooled(
    placement: Placement, model: Model, table: TableName, selection: Selection, tenant_id: TenantKey, path: Path
) -> Member:
    """Copy a table's selected rows into a file, in a reproducible order."""
    return _spooled(placement, model, table, selection.values, tenant_id, path)


def _spooled(
    placement: Placement, model: Model, table: TableName, values: Values, tenant_id: TenantKey, path: Path
) -> Member:
    shape = placement.schemas[table.database].tables[table.table]
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        column_list(shape),
        identifier(table.table),
        condition(model, placement.schemas[table.database], table, tenant_id, values),
        row_order(shape),
    )
    spool = Spool(path)
    rows = placement.sessions[table.database].copy_out(query, spool, doing=f"copying {table} out")
    return spool.finish(rows)


def _keys(
    placement: Placement, model: Model, link: Link, values: Values, tenant_id: TenantKey, path: Path
) -> list[Key]:
    """Return a link's values in the parent's rows, from the file if they are whole numbers, else from the table."""
    table, shape = link.parent, placement.schemas[link.parent.database].tables[link.parent.table]
    if {column.name for column in _numbered(shape)}.issuperset(link.parent_columns):
        return [key for key in dict.fromkeys(_numbers(path, shape, link.parent_columns)) if is_complete_key(key)]
    query = SQL("SELECT DISTINCT {} FROM {} WHERE {}").format(
        SQL(", ").join(map(Identifier, link.parent_columns)),
        identifier(table.table),
        condition(model, placement.schemas[table.database], table, tenant_id, values),
    )
    rows = placement.sessions[table.database].keys(query, doing=f"finding the rows of {table}")
    return [key for key in (row if len(row) > 1 else row[0] for row in rows) if is_complete_key(key)]


def _numbered(shape: Table) -> Iterator[Column]:
    """Yield the columns with a whole-number type."""
    return (column for column in shape.copied if column.type in WHOLE_NUMBERS)


def _numbers(path: Path, shape: Table, columns: Sequence[str]) -> Iterator[Key]:
    """Yield the values of whole-number columns in a file's rows, in row order; None for NULL."""
    names = [column.name for column in shape.copied]
    positions = [names.index(name) for name in columns]
    with path.open("rb") as file:
        if len(positions) == 1:
            [position] = positions
            for line in file:
                yield _number(line.split(b"\t", position + 1)[position])
        else:
            for line in file:
                cells = line.split(b"\t")
                yield tuple(_number(cells[position]) for position in positions)


def _number(cell: bytes) -> int | None:
    return None if cell.startswith(b"\\N") else int(cell)


def highest(placement: Placement, files: Mapping[TableName, Path]) -> dict[str, int]:
    """Return each table's highest number from a sequence: no sequence may issue it, or a lower one, again."""
    numbers_by_column: dict[str, int] = {}
    for table, path in files.items():
        shape = placement.schemas[table.database].tables[table.table]
        for column in _numbered(shape):
            if column.sequence:
                numbers = [number for number in _numbers(path, shape, [column.name]) if number is not None]
                numbers_by_column |= {f"{table}.{column.name}": max(numbers)} if numbers else {}
    return numbers_by_column


def manifest_of(
    placement: Placement,
    model: Model,
    tenant: Tenant,
    year: int,
    members: Mapping[str, Member],
    highest: Mapping[str, int],
) -> Manifest:
    """Return the manifest for a tenant's rows, without the digests of its texts."""
    return Manifest(
        noun=model.tenant.noun,
        tenant_id=tenant.id,
        tenant_name=tenant.name,
        customer_id=tenant.customer_id,
        customer_name=tenant.customer_name,
        shard=placement.shard,
        year=year,
        tool_version=TOOL_VERSION,
        server_versions={database: session.server_version for database, session in placement.sessions.items()},
        settings=SETTINGS,
        schemas=placement.schemas,
        members=members,
        highest=highest,
    )
