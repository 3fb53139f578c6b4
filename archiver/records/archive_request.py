"""The parameters of an archive run; a unit carries them to its worker. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime

from archiver.postgres.tenants import Include, OwnDepths, Tenant
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class ArchiveRequest:
    """The parameters of an archive run over a set of tenants."""

    year: int
    depth: str  # one of the catalog's
    night: date | None = None
    pretend: bool = False  # verify the local tarball only: nothing is stored, deleted or recorded
    accept_orphans: bool = False  # rows may go that their foreign keys would not take back
    until: datetime | None = None  # the end of the run: nothing new begins that may not end in time; None: no limit
    only: Include | None = None  # the list that named these tenants, with the reasons that their records keep
    own_depths: OwnDepths = field(default_factory=OwnDepths)

    @property
    def depths(self) -> frozenset[str]:
        """Every depth that a tenant may be archived to."""
        own = self.own_depths
        return frozenset((self.depth, *own.tenants.values(), *own.customers.values()))

    def depth_of(self, tenant_id: Key, customer_id: Key | None) -> str:
        """Return the depth to which a tenant of a customer is archived."""
        return self.own_depths.of(tenant_id, customer_id) or self.depth

    def reason(self, tenant: Tenant) -> str | None:
        """Return why a tenant is archived, with the ticket; None: unknown."""
        return self.only.reason(tenant) if self.only else None
