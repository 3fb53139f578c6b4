"""Complete an interrupted monthly run: each slice's marker says what was deleted; all other rows stay live."""

from __future__ import annotations

from archiver.catalog.activity_rules import Rules
from archiver.delete.batches import close
from archiver.postgres.databases import Databases, Placement
from archiver.records import markers, month_record, slice_record
from archiver.records.settlement import Settlement, seen, settlement
from archiver.records.state import Kind
from inventory.keys import Key


def settle(databases: Databases, rules: Rules, placement: Placement) -> None:
    """Complete every interrupted month of a shard; no archive is opened. The caller holds the shard's monthly lock.

    Raises LockedError if another session is working on one of its tenants.
    """
    for month in month_record.interrupted(placement.master, placement.shard):
        acts = markers.acts(placement.sessions[rules.database], month)
        for tenant_slice in slice_record.pending(placement.master, month):
            trace = seen(acts & {tenant_slice.deletion_act, tenant_slice.restore_act})
            if settlement(Kind.MONTH, month.state, trace) is Settlement.FINISH:
                with databases.tenant_lock(tenant_slice.tenant_id, placement.shard):
                    close(placement, rules, tenant_slice)
        month_record.archived(placement.master, month)


def settle_tenant(databases: Databases, rules: Rules, tenant_id: Key) -> None:
    """Complete the interrupted slices of one tenant. The caller holds the tenant's lock.

    Covers every shard: the one from which its rows were deleted may have been merged since.
    """
    for tenant_slice in slice_record.interrupted(databases.master, tenant_id):
        close(databases.placement(tenant_slice.month.shard), rules, tenant_slice)
