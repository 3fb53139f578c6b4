"""The reasons for which tenants of a bulk run are archived one by one after all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from archiver.catalog.model import MASTER
from archiver.completeness.live import sizes
from archiver.delete import many
from archiver.postgres.databases import Databases
from archiver.postgres.tenants import Tenant
from archiver.records.archive_request import ArchiveRequest
from formatting import plural
from inventory.catalog import DEFAULT_DEPTH
from inventory.keys import Key

if TYPE_CHECKING:
    from archiver.runs.context import Archiver

FEW = 100_000  # rows that a pass reads in the time one tenant takes on its own (docs/decisions.md)


def deletes_in_bulk(databases: Databases, depth: str = DEFAULT_DEPTH) -> bool:
    """True if the catalog allows a bulk run to delete many tenants at once."""
    placement = databases.placement(databases.shards[0]) if databases.shards else databases.placement(MASTER)
    return many.reason_not_bulk(databases.model, placement, depth) is None


def reasons_against_sets(archiver: Archiver, tenants: Sequence[Tenant], request: ArchiveRequest) -> Mapping[Key, str]:
    """Return the tenants that are archived one by one, each with the reason; the others are archived in sets."""
    if reason := _against_all(archiver, tenants, request):
        return {tenant.id: reason for tenant in tenants}
    placement = archiver.databases.placement(tenants[0].shard)
    depths = {tenant.id: request.depth_of(tenant.id, tenant.customer_id) for tenant in tenants}
    reasons = {depth: many.reason_not_bulk(archiver.model, placement, depth) for depth in set(depths.values())}
    return {tenant_id: reason for tenant_id, depth in depths.items() if (reason := reasons[depth])}


def _against_all(archiver: Archiver, tenants: Sequence[Tenant], request: ArchiveRequest) -> str | None:
    noun, shards = archiver.model.tenant.noun, {tenant.shard for tenant in tenants}
    if archiver.fence and not request.night and not request.pretend:
        return f"the fence closes for one {noun} at a time"
    rows = sum(
        size.rows or 0 for shard in {MASTER, *shards} for size in sizes(archiver.databases.session(shard)).values()
    )
    if len(tenants) * FEW < rows:
        return f"for {len(tenants)} {plural(noun)} a pass over about {rows:,} rows does not pay"
    return None
