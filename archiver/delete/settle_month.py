"""Ends what a monthly run that was cut off left: each slice's marker says what went, the rest stays live."""

from __future__ import annotations

from archiver.catalog.activity_rules import Rules
from archiver.delete.batches import close
from archiver.postgres.databases import Site, Workplace
from archiver.records import month_record, slice_record
from archiver.records.archive_record import State


def settle(place: Workplace, rules: Rules, site: Site) -> None:
    """Ends every such month of a shard; no archive is opened for it. The caller keeps other monthly runs off the shard.

    Raises LockedError where somebody is at work on one of its tenants.
    """
    for month in month_record.unfinished(site.master, site.shard):
        if month.state is State.DELETING:
            for one in slice_record.pending(site.master, month):
                with place.keeping(rules.model.tenant.noun, one.tenant_id, site.shard):
                    close(site, rules, one)
        month_record.archived(site.master, month)


def settle_tenant(place: Workplace, rules: Rules, tenant_id: int) -> None:
    """The same of one tenant alone, which the caller keeps everybody else off.

    On every shard: the one from which its rows went may be merged into another one since.
    """
    for one in slice_record.cut_off(place.master, tenant_id):
        close(place.site(one.month.shard), rules, one)
