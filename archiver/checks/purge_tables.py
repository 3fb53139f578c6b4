"""The tables of legacy users, as a catalog of its own in which all users of a purge are one tenant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName, resolve
from archiver.postgres.databases import Databases, Placement
from archiver.postgres.schema import read_schema
from errors import UsageError
from inventory.catalog import DEFAULT_DEPTH, Catalog, DepthRule, Legacy, Tenant

NOUN = "purge"


def legacy_of(catalog: Catalog) -> Legacy:
    """Return the catalog's entry for legacy users; raise UsageError if it has none."""
    if catalog.legacy is None:
        raise UsageError("The catalog of tables has no legacy users.", hint="Add `legacy` to it.")
    return catalog.legacy


def model_of(model: Model) -> Model:
    """Return the model of legacy users: their table, and the tables found by it alone."""
    catalog, legacy = model.catalog, legacy_of(model.catalog)
    root = TableName(MASTER, legacy.table)
    below = [table for table in model.of(MASTER) if _is_below(model.found_by(table), root, legacy)]
    written = {table.table: model.catalog_entry(table) for table in (root, *below)}
    tables = {name: replace(table, needed_by=()) for name, table in written.items() if table}
    tables[legacy.table] = replace(tables[legacy.table], found_by=())
    return resolve(
        Catalog(
            tenant=Tenant(noun=NOUN, table=legacy.table, key=legacy.key, title=legacy.title),
            databases={MASTER: tables},
            depths={DEFAULT_DEPTH: DepthRule(start=legacy.table)},
            excluded={SHARD: catalog.excluded.get(SHARD, {})},
            strays={SHARD: catalog.strays.get(SHARD, ())},
        )
    )


def _is_below(links: Sequence[Link], root: TableName, legacy: Legacy) -> bool:
    return [(link.parent, link.parent_columns, link.where) for link in links] == [(root, (legacy.key,), None)]


def legacy_placement(databases: Databases, model: Model) -> Placement:
    """Return the placement of legacy users: master alone."""
    schema = read_schema(databases.master, [table.table for table in model.tables])
    return Placement(
        sessions={MASTER: databases.master},
        schemas={MASTER: schema},
        shard=MASTER,
        other_shards=(),
        migrations=databases.migrations,
    )
