"""Who there is to archive: tenants as the live master names them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
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
    """One school, in Apangea's word."""

    id: int
    name: str
    shard: str  # inventory name of the database its activity lies in; master where there are no shards
    customer_id: int | None
    customer_name: str | None


@dataclass(frozen=True, kw_only=True)
class Exclude:
    """Who is left out, by their own ids or their customers'."""

    tenants: frozenset[int] = frozenset()
    customers: frozenset[int] = frozenset()

    def leaves_out(self, tenant: Tenant) -> bool:
        """Whether a tenant is one of them."""
        return tenant.id in self.tenants or tenant.customer_id in self.customers


def tenant(master: Session, table: TenantTable, tenant_id: int) -> Tenant | None:
    """The live tenant of that id."""
    found = _select(master, table, SQL("t.{} = %s").format(Identifier(table.key)), (tenant_id,))
    return found[0] if found else None


def of_customer(master: Session, table: TenantTable, customer_id: int) -> tuple[Tenant, ...]:
    """The live tenants of a customer; UsageError where there is no such customer."""
    customer = table.customer
    if customer is None:
        raise UsageError(f"The catalog of tables knows no customers of {plural(table.noun)}.")
    known = SQL("SELECT 1 FROM {} WHERE {} = %s").format(identifier(customer.table), Identifier(customer.key))
    if not master.row(known, (customer_id,), doing="looking for a customer"):
        raise UsageError(f"There is no customer {customer_id}.")
    return _select(master, table, SQL("t.{} = %s").format(Identifier(customer.column)), (customer_id,))


def of_ids(master: Session, table: TenantTable, ids: Collection[int]) -> tuple[Tenant, ...]:
    """The live tenants of these ids."""
    return _select(master, table, SQL("t.{} = ANY(%s)").format(Identifier(table.key)), (list(ids),))


def all_but(master: Session, table: TenantTable, exclude: Exclude) -> tuple[Tenant, ...]:
    """Every live tenant that is not excluded."""
    return tuple(tenant for tenant in _select(master, table, SQL("true"), ()) if not exclude.leaves_out(tenant))


def unknown(master: Session, table: TenantTable, ids: Collection[int]) -> list[int]:
    """Which of these ids no live tenant has."""
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
    return Tenant(id=row[0], name=row[1] or "", shard=row[2], customer_id=row[3], customer_name=row[4])
