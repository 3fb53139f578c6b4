"""Ends what a monthly run that was cut off left: each slice's marker says what went, the rest stays live."""

from __future__ import annotations

from archiver.catalog.activity_rules import Rules
from archiver.delete.batches import close
from archiver.postgres.databases import Databases, Placement
from archiver.records import month_record, slice_record
from archiver.records.archive_record import ArchiveState


def settle(databases: Databases, rules: Rules, placement: Placement) -> None:
    """Ends every such month of a shard; no archive is opened for it. The caller keeps other monthly runs off the shard.

    Raises LockedError where somebody is at work on one of its tenants.
    """
    for month in month_record.interrupted(placement.master, placement.shard):
        if month.state is ArchiveState.DELETING:
            for one in slice_record.pending(placement.master, month):
                with databases.tenant_lock(rules.model.tenant.noun, one.tenant_id, placement.shard):
                    close(placement, rules, one)
        month_record.archived(placement.master, month)


def settle_tenant(databases: Databases, rules: Rules, tenant_id: int) -> None:
    """The same of one tenant alone, which the caller keeps everybody else off.

    On every shard: the one from which its rows went may be merged into another one since.
    """
    for one in slice_record.interrupted(databases.master, tenant_id):
        close(databases.placement(one.month.shard), rules, one)
