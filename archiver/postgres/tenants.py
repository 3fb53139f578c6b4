"""The live tenants, as master's table has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archiver.catalog.model import MASTER
from archiver.postgres.schema import identifier
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from errors import UsageError
from formatting import plural
from inventory.catalog import Customer
from inventory.catalog import Tenant as TenantTable


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A live tenant; in Apangea a school."""

    id: int
    name: str
    shard: str  # inventory name of the database with its activity; master if there are no shards; empty: it names none
    customer_id: int | None
    customer_name: str | None


@dataclass(frozen=True, kw_only=True)
class Exclude:
    """Tenants that an operator leaves out, by their own ids or their customers'."""

    tenants: frozenset[int] = frozenset()
    customers: frozenset[int] = frozenset()

    def names(self, tenant: Tenant) -> bool:
        """True if a tenant is on the list."""
        return tenant.id in self.tenants or tenant.customer_id in self.customers


@dataclass(frozen=True, kw_only=True)
class Include:
    """The only tenants that an operator archives, by their own ids or their customers', each with the reason for it."""

    tenants: Mapping[int, str] = field(default_factory=dict)
    customers: Mapping[int, str] = field(default_factory=dict)

    def reason(self, tenant: Tenant) -> str | None:
        """Return why a tenant is archived: its own reason, or else its customer's; None if it is not on the list."""
        of_customer = None if tenant.customer_id is None else self.customers.get(tenant.customer_id)
        return self.tenants.get(tenant.id, of_customer)


@dataclass(frozen=True, kw_only=True)
class OwnDepths:
    """Tenants with a depth of their own, by their own ids or their customers'; a tenant's is stronger."""

    tenants: Mapping[int, str] = field(default_factory=dict)
    customers: Mapping[int, str] = field(default_factory=dict)

    def of(self, tenant_id: int, customer_id: int | None) -> str | None:
        """Return the depth of a tenant of a customer; None if it has none of its own."""
        of_customer = None if customer_id is None else self.customers.get(customer_id)
        return self.tenants.get(tenant_id, of_customer)


@dataclass(frozen=True, kw_only=True)
class TenantFilter:
    """The tenants that a run takes in: those of an include list, or all; less the excluded ones."""

    exclude: Exclude = field(default_factory=Exclude)
    only: Include | None = None  # None: all
    own_depths: OwnDepths = field(default_factory=OwnDepths)

    def takes(self, tenant: Tenant) -> bool:
        """True if a run takes a tenant in."""
        return not self.exclude.names(tenant) and (self.only is None or self.only.reason(tenant) is not None)


def tenant(master: Session, table: TenantTable, tenant_id: int) -> Tenant | None:
    """Return the live tenant of that id; None if there is none."""
    rows = _select(master, table, SQL("t.{} = %s").format(Identifier(table.key)), (tenant_id,))
    return rows[0] if rows else None


def of_customer(master: Session, table: TenantTable, customer_id: int) -> tuple[Tenant, ...]:
    """Return the live tenants of a customer; raise UsageError if there is no such customer."""
    customer = table.customer
    if customer is None:
        raise UsageError(f"The catalog of tables knows no customers of {plural(table.noun)}.")
    query = SQL("SELECT 1 FROM {} WHERE {} = %s").format(identifier(customer.table), Identifier(customer.key))
    if not master.row(query, (customer_id,), doing="looking for a customer"):
        raise UsageError(f"There is no customer {customer_id}.")
    return _select(master, table, SQL("t.{} = %s").format(Identifier(customer.column)), (customer_id,))


def of_ids(master: Session, table: TenantTable, ids: Collection[int]) -> tuple[Tenant, ...]:
    """Return the live tenants of these ids."""
    return _select(master, table, SQL("t.{} = ANY(%s)").format(Identifier(table.key)), (list(ids),))


def every(master: Session, table: TenantTable) -> tuple[Tenant, ...]:
    """Return every live tenant."""
    return _select(master, table, SQL("true"), ())


def taken(master: Session, table: TenantTable, chosen: TenantFilter) -> tuple[Tenant, ...]:
    """Return every live tenant that a filter takes in."""
    return tuple(tenant for tenant in every(master, table) if chosen.takes(tenant))


def unknown_customers(master: Session, table: TenantTable, ids: Collection[int]) -> list[int]:
    """Return the ids that no customer has, sorted; all of them if the catalog knows no customers."""
    customer = table.customer
    if customer is None:
        return sorted(ids)
    query = SQL("SELECT c.{0} FROM {1} c WHERE c.{0} = ANY(%s)").format(
        Identifier(customer.key), identifier(customer.table)
    )
    existing = {row[0] for row in master.rows(query, (list(ids),), doing="looking for customers")}
    return sorted(set(ids) - existing)


def unknown(master: Session, table: TenantTable, ids: Collection[int]) -> list[int]:
    """Return the ids that no live tenant has, sorted."""
    query = SQL("SELECT t.{0} FROM {1} t WHERE t.{0} = ANY(%s)").format(Identifier(table.key), identifier(table.table))
    live = {row[0] for row in master.rows(query, (list(ids),), doing=f"looking for {plural(table.noun)}")}
    return sorted(set(ids) - live)


def _select(master: Session, table: TenantTable, condition: Composable, args: Sequence[object]) -> tuple[Tenant, ...]:
    customer, nothing = table.customer, SQL("NULL")
    query = SQL(
        "SELECT t.{key}, t.{title}, {shard}, {customer}, {customer_title} FROM {table} t{joined}"
        " WHERE {condition} ORDER BY t.{key}"
    ).format(
        key=Identifier(table.key),
        title=Identifier(table.title),
        shard=Identifier("t", table.shard) if table.shard else Literal(MASTER),
        customer=Identifier("t", customer.column) if customer else nothing,
        customer_title=Identifier("c", customer.title) if customer else nothing,
        table=identifier(table.table),
        joined=_with_customers(customer) if customer else SQL(""),
        condition=condition,
    )
    return tuple(_tenant(row) for row in master.rows(query, args, doing=f"reading {table.table}"))


def _with_customers(customer: Customer) -> Composable:
    return SQL(" LEFT JOIN {} c ON c.{} = t.{}").format(
        identifier(customer.table), Identifier(customer.key), Identifier(customer.column)
    )


def _tenant(row: tuple[Any, ...]) -> Tenant:
    return Tenant(id=row[0], name=row[1] or "", shard=row[2] or "", customer_id=row[3], customer_name=row[4])
