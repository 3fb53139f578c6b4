"""A tenant's rows out of the live databases into spool files: the ids found so far find the rows of the next table."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from archiver import layout
from archiver.catalog import Model, TableName
from archiver.manifest import Manifest, Member
from archiver.postgres import SETTINGS, SQL
from archiver.rows import RowFile, Rows, Spool
from archiver.schema import column_list, identifier
from archiver.selection import Selection, condition, row_order, select, snapshot_xmin
from archiver.tenants import Tenant
from archiver.workplace import Site

TOOL_VERSION = "0.1.0"


@dataclass(frozen=True, kw_only=True)
class Extract:
    """One tenant's rows in spool files, as of one moment per database."""

    tenant: Tenant
    year: int
    manifest: Manifest
    rows: Mapping[str, Rows]  # by member
    snapshots: Mapping[str, str]  # database: xmin of the snapshot the rows were read in
    seconds: float


def extract(site: Site, model: Model, tenant: Tenant, year: int, work: Path) -> Extract:
    """Reads a tenant in a snapshot of its own; `work` must be empty."""
    began = time.monotonic()
    with ExitStack() as snapshots:
        for session in site.sessions.values():
            snapshots.enter_context(session.rolled_back("REPEATABLE READ READ ONLY"))
        xmins = {database: snapshot_xmin(session) for database, session in site.sessions.items()}
        selection = select(site, model, tenant.id)
        files = {table: work / f"{number}.copy" for number, table in enumerate(model.tables)}
        members = {
            layout.member(table): spooled(site, model, table, selection, tenant.id, files[table])
            for table in model.tables
        }
    return Extract(
        tenant=tenant,
        year=year,
        manifest=manifest_of(site, model, tenant, year, members, _highest(site, selection)),
        rows={layout.member(table): RowFile(path) for table, path in files.items()},
        snapshots=xmins,
        seconds=time.monotonic() - began,
    )


def spooled(site: Site, model: Model, table: TableName, selection: Selection, tenant_id: int, path: Path) -> Member:
    """Copies a table's selected rows into a file, in an order that is the same each time."""
    shape = site.schemas[table.database].tables[table.table]
    query = SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        column_list(shape),
        identifier(table.table),
        condition(model, site.schemas[table.database], table, tenant_id, selection.values),
        row_order(shape),
    )
    spool = Spool(path)
    rows = site.sessions[table.database].copy_out(query, spool, doing=f"copying {table} out")
    return spool.finish(rows)


def _highest(site: Site, selection: Selection) -> dict[str, int]:
    """The highest number of each table that a sequence numbers: below it nothing may be given out again."""
    highest: dict[str, int] = {}
    for table, rows in selection.found.items():
        shape = site.schemas[table.database].tables[table.table]
        for column in shape.columns:
            if column.sequence and column.name in rows.columns and (values := rows.values((column.name,))):
                highest[f"{table}.{column.name}"] = max(values)
    return highest


def manifest_of(
    site: Site,
    model: Model,
    tenant: Tenant,
    year: int,
    members: Mapping[str, Member],
    highest: Mapping[str, int],
) -> Manifest:
    """What the archive of a tenant's rows says of itself, but for its texts."""
    return Manifest(
        noun=model.tenant.noun,
        tenant_id=tenant.id,
        tenant_name=tenant.name,
        customer_id=tenant.customer_id,
        customer_name=tenant.customer_name,
        shard=site.shard,
        year=year,
        tool_version=TOOL_VERSION,
        server_versions={database: session.server_version for database, session in site.sessions.items()},
        settings=SETTINGS,
        schemas=site.schemas,
        members=members,
        highest=highest,
    )
