"""The ids on an operator's lists that match no tenant to archive: each is probably a typo, and meant another one."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.tenants import Exclude, Include, Tenant, TenantFilter
from archiver.records import archive_record
from archiver.records.archive_record import Record
from archiver.records.state import State
from formatting import with_article
from inventory.keys import Key, key_order, words_for

UNKNOWN, EXCLUDED, NOT_LISTED = "does not exist", "is excluded", "is not on the include list"
EXCLUDE, ONLY, DEPTHS = "exclude", "only", "depths"  # the lists of a night, as the inventory calls them
CUSTOMER = "customer"
NAMES = {EXCLUDE: "exclusion", ONLY: "include list", DEPTHS: "list of depths"}


@dataclass(frozen=True, kw_only=True)
class Unmatched:
    """A tenant or a customer that a list names in vain."""

    listed: str  # the list
    noun: str  # the catalog's noun for a tenant, or customer
    id: Key
    why: str  # a verb and its object: does not exist

    @property
    def sentence(self) -> str:
        """The mistake, as a sentence."""
        return f"The {NAMES[self.listed]} names {self.noun} {self.id}, which {self.why}."

    @property
    def in_inventory(self) -> str:
        """The mistake, with its path below the night's entry in an inventory."""
        key = "customers" if self.noun == CUSTOMER else "schools"  # whatever the catalog's noun is
        if self.listed == EXCLUDE:
            return f"{EXCLUDE}/{key}: expected an id that exists, got {self.id}"
        return f"{self.listed}/{key}/{self.id}: expected {with_article(self.noun)} to archive, got one that {self.why}"


@dataclass(frozen=True, kw_only=True)
class _Year:
    """The live tenants, and the records of a year."""

    number: int
    noun: str
    live: tuple[Tenant, ...]
    archived: tuple[Record, ...]
    chosen: TenantFilter

    def has_more(self, customer_id: Key, night: date | None) -> bool:
        """True if a customer has tenants that the filter takes in, or that this night has archived."""
        archived = {record.tenant_id for record in self.archived}
        due = {tenant.customer_id for tenant in self.live if self.chosen.takes(tenant) and tenant.id not in archived}
        done = {record.customer_id for record in self.archived if night and record.night == night}
        return any(Exclude(customers=frozenset([customer_id])).names_customer(each) for each in due | done)

    def reason_against(self, tenant_id: Key, night: date | None) -> str:
        """Return why a tenant can't be archived; empty if it can, or this night has done so."""
        for record in self.archived:
            if str(tenant_id) in words_for(record.tenant_id):
                return "" if night and record.night == night else f"is archived already for {self.number}"
        tenant = next((tenant for tenant in self.live if str(tenant_id) in words_for(tenant.id)), None)
        if tenant is None or self.chosen.takes(tenant):
            return UNKNOWN if tenant is None else ""
        return EXCLUDED if self.chosen.exclude.names(tenant) else NOT_LISTED


def unmatched(databases: Databases, year: int, night: date | None, chosen: TenantFilter) -> list[Unmatched]:
    """Return every id that a filter names in vain; the tenants that this night has archived are no such ids."""
    records = archive_record.read_if_any(databases.master, year)
    world = _Year(
        number=year,
        noun=databases.model.tenant.noun,
        live=tenants.every(databases.master, databases.model.tenant),
        archived=tuple(record for record in records if record.state is State.ARCHIVED),
        chosen=chosen,
    )
    only, own = chosen.only or Include(), chosen.own_depths
    return [
        *_excluded_in_vain(databases, world),
        *_named_in_vain(databases, world, night, ONLY, only.tenants, only.customers),
        *_named_in_vain(databases, world, night, DEPTHS, own.tenants, own.customers),
    ]


def _excluded_in_vain(databases: Databases, year: _Year) -> Iterator[Unmatched]:
    keys = {tenant.id for tenant in year.live} | {record.tenant_id for record in year.archived}
    existing = frozenset[str]().union(*map(words_for, keys))
    exclude = year.chosen.exclude
    in_vain = sorted((each for each in exclude.tenants if str(each) not in existing), key=key_order)
    customers = tenants.unknown_customers(databases.master, databases.model.tenant, exclude.customers)
    for noun, ids in ((year.noun, in_vain), (CUSTOMER, customers)):
        for each in ids:
            yield Unmatched(listed=EXCLUDE, noun=noun, id=each, why=UNKNOWN)


def _named_in_vain(
    databases: Databases,
    year: _Year,
    night: date | None,
    listed: str,
    tenant_ids: Iterable[Key],
    customer_ids: Collection[Key],
) -> Iterator[Unmatched]:
    for tenant_id in sorted(tenant_ids, key=key_order):
        if why := year.reason_against(tenant_id, night):
            yield Unmatched(listed=listed, noun=year.noun, id=tenant_id, why=why)
    unknown = set(tenants.unknown_customers(databases.master, databases.model.tenant, customer_ids))
    for customer_id in sorted(customer_ids, key=key_order):
        nothing = "" if year.has_more(customer_id, night) else f"has no {year.noun} to archive"
        excluded = EXCLUDED if year.chosen.exclude.names_customer(customer_id) else nothing
        if why := UNKNOWN if customer_id in unknown else excluded:
            yield Unmatched(listed=listed, noun=CUSTOMER, id=customer_id, why=why)
