"""The live tenants, as master's table has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from archiver.catalog.model import MASTER
from archiver.postgres.schema import identifier
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from errors import RefusedError, UsageError
from formatting import plural
from inventory.catalog import Customer
from inventory.catalog import Tenant as TenantTable
from inventory.keys import Key, Parts, key_of, key_order, words_for


@dataclass(frozen=True, kw_only=True)
class Tenant:
    """A live tenant; in Apangea a school."""

    id: Key
    name: str
    shard: str  # inventory name of the database with its activity; master if there are no shards; empty: it names none
    customer_id: Key | None
    customer_name: str | None


# A list names a tenant by the word that people write for its key: a file has no types of columns.


@dataclass(frozen=True, kw_only=True)
class Exclude:
    """Tenants that an operator leaves out, by their own keys or their customers'."""

    tenants: frozenset[Key] = frozenset()
    customers: frozenset[Key] = frozenset()

    def names(self, tenant: Tenant) -> bool:
        """True if a tenant is on the list."""
        return not words_for(tenant.id).isdisjoint(self._words) or self.names_customer(tenant.customer_id)

    def names_customer(self, customer_id: Key | None) -> bool:
        """True if a customer is on the list."""
        return customer_id is not None and str(customer_id) in self._customers

    @cached_property
    def _words(self) -> frozenset[str]:
        return frozenset(map(str, self.tenants))

    @cached_property
    def _customers(self) -> frozenset[str]:
        return frozenset(map(str, self.customers))


@dataclass(frozen=True, kw_only=True)
class Include:
    """The only tenants that an operator archives, by their own keys or their customers', each with the reason."""

    tenants: Mapping[Key, str] = field(default_factory=dict)
    customers: Mapping[Key, str] = field(default_factory=dict)

    def reason(self, tenant: Tenant) -> str | None:
        """Return why a tenant is archived: its own reason, or else its customer's; None if it is not on the list."""
        return _said(self._words, self._customers, tenant.id, tenant.customer_id)

    @cached_property
    def _words(self) -> Mapping[str, str]:
        return _by_word(self.tenants)

    @cached_property
    def _customers(self) -> Mapping[str, str]:
        return _by_word(self.customers)


@dataclass(frozen=True, kw_only=True)
class OwnDepths:
    """Tenants with a depth of their own, by their own keys or their customers'; a tenant's is stronger."""

    tenants: Mapping[Key, str] = field(default_factory=dict)
    customers: Mapping[Key, str] = field(default_factory=dict)

    def of(self, tenant_id: Key, customer_id: Key | None) -> str | None:
        """Return the depth of a tenant of a customer; None if it has none of its own."""
        return _said(self._words, self._customers, tenant_id, customer_id)

    @cached_property
    def _words(self) -> Mapping[str, str]:
        return _by_word(self.tenants)

    @cached_property
    def _customers(self) -> Mapping[str, str]:
        return _by_word(self.customers)


def _by_word(listed: Mapping[Key, str]) -> Mapping[str, str]:
    return {str(key): said for key, said in listed.items()}


def _said(
    tenants: Mapping[str, str], customers: Mapping[str, str], tenant_id: Key, customer_id: Key | None
) -> str | None:
    """Return what a list says of a tenant, or else of its customer; None if it names neither."""
    of_customer = None if customer_id is None else customers.get(str(customer_id))
    return next((tenants[word] for word in words_for(tenant_id) if word in tenants), of_customer)


@dataclass(frozen=True, kw_only=True)
class TenantFilter:
    """The tenants that a run takes in: those of an include list, or all; less the excluded ones."""

    exclude: Exclude = field(default_factory=Exclude)
    only: Include | None = None  # None: all
    own_depths: OwnDepths = field(default_factory=OwnDepths)

    def takes(self, tenant: Tenant) -> bool:
        """True if a run takes a tenant in."""
        return not self.exclude.names(tenant) and (self.only is None or self.only.reason(tenant) is not None)


def tenant(master: Session, table: TenantTable, tenant_id: Key) -> Tenant | None:
    """Return the live tenant of that key; None if there is none."""
    rows = of_ids(master, table, [tenant_id])
    return rows[0] if rows else None


def of_customer(master: Session, table: TenantTable, customer_id: Key) -> tuple[Tenant, ...]:
    """Return the live tenants of a customer; raise UsageError if there is no such customer."""
    customer = table.customer
    if customer is None:
        raise UsageError(f"The catalog of tables knows no customers of {plural(table.noun)}.")
    query = SQL("SELECT 1 FROM {} t WHERE {}").format(
        identifier(customer.table), has_key((customer.key,), [customer_id])
    )
    if not master.row(query, doing="looking for a customer"):
        raise UsageError(f"There is no customer {customer_id}.")
    return _select(master, table, has_key((customer.column,), [customer_id]))


def of_ids(master: Session, table: TenantTable, ids: Collection[Key]) -> tuple[Tenant, ...]:
    """Return the live tenants of these keys."""
    return _select(master, table, has_key(table.key_columns, ids)) if ids else ()


def every(master: Session, table: TenantTable) -> tuple[Tenant, ...]:
    """Return every live tenant."""
    return _select(master, table, SQL("true"))


def taken(master: Session, table: TenantTable, chosen: TenantFilter) -> tuple[Tenant, ...]:
    """Return every live tenant that a filter takes in."""
    return tuple(tenant for tenant in every(master, table) if chosen.takes(tenant))


def unknown_customers(master: Session, table: TenantTable, ids: Collection[Key]) -> list[Key]:
    """Return the ids that no customer has, sorted; all of them if the catalog knows no customers."""
    existing = _customers(master, table.customer) if table.customer and ids else frozenset()
    return sorted((each for each in ids if str(each) not in existing), key=key_order)


def _customers(master: Session, customer: Customer) -> frozenset[str]:
    """Return the words for all customers' keys."""
    query = SQL("SELECT {} FROM {}").format(Identifier(customer.key), identifier(customer.table))
    return frozenset(str(row[0]) for row in master.keys(query, doing="looking for customers"))


def unknown(master: Session, table: TenantTable, ids: Collection[Key]) -> list[Key]:
    """Return the keys that no live tenant has, sorted."""
    return sorted(set(ids) - {each.id for each in of_ids(master, table, ids)}, key=key_order)


def has_key(names: Sequence[str], ids: Collection[Key]) -> Composable:
    """SQL: the row `t` has one of these keys; all but whole numbers are compared as the text that PostgreSQL writes."""
    if len(names) == 1 and all(isinstance(each, int) for each in ids):
        return SQL("t.{} = ANY({})").format(Identifier(*names), Literal(list(ids)))
    columns = zip(*(each if isinstance(each, Parts) else (each,) for each in ids), strict=True)
    return SQL("({}) IN (SELECT * FROM unnest({}))").format(
        SQL(", ").join(SQL("t.{}::text").format(Identifier(name)) for name in names),
        SQL(", ").join(SQL("{}::text[]").format(Literal(list(map(str, values)))) for values in columns),
    )


def _keys(table: TenantTable) -> Composable:
    return SQL(", ").join(Identifier("t", name) for name in table.key_columns)


def _from(table: TenantTable) -> Composable:
    return SQL("{} t").format(identifier(table.table))


def _select(master: Session, table: TenantTable, condition: Composable) -> tuple[Tenant, ...]:
    """Return the tenants that meet a condition, sorted by key."""
    customer, nothing = table.customer, SQL("NULL")
    query = SQL(
        "SELECT {keys}, t.{title}, {shard}, {customer}, {customer_title} FROM {table}{joined} WHERE {condition}"
    ).format(
        keys=_keys(table),
        title=Identifier(table.title),
        shard=Identifier("t", table.shard) if table.shard else Literal(MASTER),
        customer=Identifier("t", customer.column) if customer else nothing,
        customer_title=Identifier("c", customer.title) if customer else nothing,
        table=_from(table),
        joined=_with_customers(customer) if customer else SQL(""),
        condition=condition,
    )
    live = [_tenant(table, row) for row in master.keys(query, doing=f"reading {table.table}")]
    return tuple(sorted(live, key=lambda each: key_order(each.id)))


def _with_customers(customer: Customer) -> Composable:
    return SQL(" LEFT JOIN {} c ON c.{} = t.{}").format(
        identifier(customer.table), Identifier(customer.key), Identifier(customer.column)
    )


def _tenant(table: TenantTable, row: tuple[Any, ...]) -> Tenant:
    count = len(table.key_columns)
    key, (name, shard, customer_id, customer_name) = row[:count], row[count:]
    if None in key:
        raise RefusedError(
            f"The {table.noun} {name!r} has no {table.key_columns[key.index(None)]}: no command can name it.",
            hint="Give it one, or delete it; then make the column NOT NULL.",
        )
    return Tenant(
        id=key_of(key), name=name or "", shard=shard or "", customer_id=customer_id, customer_name=customer_name
    )
