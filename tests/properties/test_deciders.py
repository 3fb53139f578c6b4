"""Two deciders, one answer: the rows that go, decided in Python and in SQL, for one tenant and for several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, assume, given, note, settings

from archiver.catalog.model import MASTER, SHARD, TableName, resolve
from archiver.delete import many
from archiver.delete.decide import decide
from archiver.delete.delete import delete
from archiver.delete.delete_set import delete_set
from archiver.delete.deletion_set import DeletionSet
from archiver.extract import row_sets
from archiver.postgres.account import DeletionAccount
from archiver.postgres.databases import Databases, Placement
from archiver.postgres.schema import identifier
from archiver.postgres.selection import Key, identity_of, select
from archiver.postgres.session import SQL, Identifier
from archiver.postgres.tenants import Tenant, every
from archiver.records.archive_record import Record
from inventory.keys import Key as TenantKey
from inventory.load import load_catalog
from tests.properties.cases import DATABASES, LARGE
from tests.properties.databases import build
from tests.properties.product import Product
from tests.properties.products import products
from tests.properties.written import catalog, told
from tests.worlds import NewWorld, World

CASES = 10
Decided = Mapping[TableName, set[Key]]


@pytest.fixture(scope="module")
def shared_world(new_world: NewWorld) -> Iterator[World]:
    """Databases in which each product takes the place of the one before."""
    with new_world(DATABASES) as world:
        yield world


def test_both_deciders_delete_the_same_rows_of_any_product(shared_world: World, tmp_path: Path) -> None:
    deleted: list[int] = []

    @settings(
        max_examples=CASES,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=[*LARGE, HealthCheck.filter_too_much],
    )
    @given(products())
    def agree(product: Product) -> None:
        note(told(product))
        assume(may_go_in_sets(product, tmp_path / "catalog.yaml"))
        world, depth = build(shared_world, product, tmp_path / "catalog.yaml").world, product.run.depth
        if not world.goes_in_sets(depth=depth):
            return
        with world.archiver() as archiver:
            databases = archiver.databases
            tenants = [each for each in every(databases.master, databases.model.tenant) if each.id in product.run.out]
            for tenant in tenants:
                assert in_sql(databases, [tenant], depth) == in_python(databases, [tenant], depth)
            together, in_turn = in_sql(databases, tenants, depth), in_python(databases, tenants, depth)
            # A row of the first that a row of the second needs stays in turn, and goes with both together.
            assert all(keys <= together.get(table, set()) for table, keys in in_turn.items())
            deleted.append(sum(map(len, together.values())))

    agree()
    assert len(deleted) > CASES / 2
    assert sum(deleted) > 2 * CASES


def may_go_in_sets(product: Product, catalog_file: Path) -> bool:
    """True if nothing in a product's catalog speaks against sets; the databases may."""
    catalog_file.write_text(catalog(product), encoding="utf-8")
    model = resolve(load_catalog(str(catalog_file)))
    tables = product.tables.values()
    schemas: Any = {
        database: SimpleNamespace(tables={table.name: table for table in tables if table.database == database})
        for database in (MASTER, SHARD)
    }
    placement = Placement(sessions={}, schemas=schemas, shard=MASTER, other_shards=())
    return many.reason_not_bulk(model, placement, product.run.depth) is None


def in_python(databases: Databases, tenants: Sequence[Tenant], depth: str) -> Decided:
    """The rows that go with each tenant in turn."""
    deleted: dict[TableName, set[Key]] = defaultdict(set)
    with everything_rolled_back(databases):
        for tenant in tenants:
            placement = databases.placement(tenant.shard)
            selection = select(placement, databases.model, tenant.id)
            decided = decide(placement, databases.model, record(tenant, depth), selection)
            for database in reversed(placement.sessions):
                delete(placement, databases.model, database, decided.to_delete, account(placement, database))
            for table, rows in decided.to_delete.items():
                deleted[table] |= set(named(placement, tenant, table, rows.identities()))
    return filled(deleted)


def in_sql(databases: Databases, tenants: Sequence[Tenant], depth: str) -> Decided:
    """The rows that go with all tenants together: first in each shard, then in master."""
    deleted: dict[TableName, set[Key]] = defaultdict(set)
    contents: dict[TenantKey, Mapping[str, Any]] = {}
    model = databases.model
    with everything_rolled_back(databases):
        for shard in sorted({tenant.shard for tenant in tenants}) if model.tenant.shard else ():
            residents = [tenant for tenant in tenants if tenant.shard == shard]
            with closing(databases.open(MASTER)) as reader, reader.rolled_back("REPEATABLE READ"):
                placement = databases.placement(shard)
                beside = replace(placement, sessions={**placement.sessions, MASTER: reader})
                sets = row_sets.make(beside, model, [tenant.id for tenant in residents])
                going = DeletionSet(sets, depth, {})
                counts: Any = defaultdict(dict)
                contents |= many._markers(going, counts, [record(tenant, depth) for tenant in residents])
                taken(beside, residents[0], SHARD, going, deleted)
        placement = databases.master_only()
        keys = {field: many._keys_by_link(model, contents, field) for field in ("found", "gone")}
        sets = row_sets.make(placement, model, [tenant.id for tenant in tenants], keys["found"])
        going = DeletionSet(sets, depth, keys["gone"], [hash(tenant.id) for tenant in tenants])
        for table in model.of(MASTER):
            going.materialize(table)
        taken(placement, tenants[0], MASTER, going, deleted)
    return filled(deleted)


def taken(
    placement: Placement, tenant: Tenant, database: str, going: DeletionSet, deleted: dict[TableName, set[Key]]
) -> None:
    """Find the rows of one database that go, and delete them."""
    schema, numbers = placement.schemas[database], dict[str, int]()
    for table in going.model.of(database):
        columns = SQL(", ").join(Identifier("c", name) for name in identity_of(schema.tables[table.table]))
        query = SQL("SELECT {} FROM {} c WHERE {}").format(columns, identifier(table.table), going.row(table, "c"))
        rows = placement.sessions[database].keys(query, doing="looking")
        deleted[table] |= set(named(placement, tenant, table, (row if len(row) > 1 else row[0] for row in rows)))
        numbers[table.table] = len(rows)
    delete_set(
        account(placement, database), schema, numbers, lambda name, alias: going.row(TableName(database, name), alias)
    )


def named(placement: Placement, tenant: Tenant, table: TableName, keys: Iterable[Key]) -> Iterator[Key]:
    """Each key, with the shard that it is a row's of: two shards give the same ones out."""
    yield from ((tenant.shard, key) if table.database == SHARD else key for key in keys)


def filled(deleted: Decided) -> Decided:
    """The tables of which a row goes."""
    return {table: keys for table, keys in deleted.items() if keys}


def record(tenant: Tenant, depth: str) -> Record:
    """As much of a tenant's record as is asked for."""
    return cast(Record, SimpleNamespace(id=tenant.id, tenant_id=tenant.id, depth=depth))


def account(placement: Placement, database: str) -> DeletionAccount:
    """An account that nothing proves: all is rolled back."""
    return DeletionAccount(placement.sessions[database], "Deleting", {}, {})


def everything_rolled_back(databases: Databases) -> ExitStack:
    """A transaction in each database."""
    transactions = ExitStack()
    for name in (MASTER, *databases.shards):
        transactions.enter_context(databases.session(name).rolled_back())
    return transactions
