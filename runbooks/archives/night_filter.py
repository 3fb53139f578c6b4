"""The schools that a night takes in, by the inventory."""

from __future__ import annotations

import datetime

from archiver.postgres.tenants import Exclude, Include, OwnDepths, TenantFilter
from inventory.model import Environment


def filter_at(environment: Environment, night: datetime.date) -> TenantFilter:
    """Return which schools the inventory takes in on a night: all of them where it does not have the night."""
    written = environment.nights.get(night)
    if written is None:
        return TenantFilter()
    exclude, only, depths = written.exclude, written.only, written.depths
    return TenantFilter(
        exclude=Exclude(tenants=frozenset(exclude.schools), customers=frozenset(exclude.customers)),
        only=Include(tenants=only.schools, customers=only.customers) if only else None,
        own_depths=OwnDepths(tenants=depths.schools, customers=depths.customers),
    )
