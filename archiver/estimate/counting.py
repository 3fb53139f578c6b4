"""Count rows by tenant where that is cheap: in tables that refer to the tenant, or to a row of such a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from archiver.catalog.model import MASTER, Link, Model, TableName
from archiver.estimate.table_sizes import TableIn
from archiver.postgres.databases import Databases
from archiver.postgres.schema import identifier
from archiver.postgres.selection import narrowed
from archiver.postgres.session import SQL, Identifier
from inventory.keys import Key, key_of

Owners = Mapping[Any, Key]  # by key of a row: its tenant


def count(databases: Databases) -> dict[TableIn, Counter[Key]]:
    """Return the rows by tenant, of tables found in one way only; one GROUP BY per table and database."""
    model, counted = databases.model, dict[TableIn, Counter[Key]]()
    owners: dict[TableName, Owners] = {}
    for table in model.tables:
        link = _only_link(model, table)
        if link is None or link.parent not in (model.root, *owners):
            continue
        for name in (MASTER,) if table.database == MASTER else databases.shards:
            counted[TableIn(name, table)] = _by_tenant(_grouped(databases, name, link), owners.get(link.parent))
        if link.parent == model.root and table.database == MASTER and _owns_others(model, databases, table):
            owners[table] = _owners(databases, link, table)
    return counted


def _only_link(model: Model, table: TableName) -> Link | None:
    """Return the table's only link; None if there are several, or if it has several columns, or not a tenant's key."""
    [link, *others] = model.found_by(table) or (None,)
    if link is None or others or len(link.columns) > 1:
        return None
    return None if link.parent == model.root and link.parent_columns != model.tenant.key_columns else link


def _owns_others(model: Model, databases: Databases, table: TableName) -> bool:
    """True if rows of other tables are found by this table's key, and by nothing else."""
    key = databases.schema(MASTER).tables[table.table].primary_key
    children = [link for link in model.links if link.parent == table]
    return any(link.parent_columns == key and _only_link(model, link.child) == link for link in children)


def _grouped(databases: Databases, name: str, link: Link) -> list[tuple[Any, int]]:
    """Return a table's rows in one database, by value of the link's column."""
    query = SQL("SELECT {}, count(*) FROM {} WHERE {} GROUP BY 1").format(
        Identifier(*link.columns), identifier(link.child.table), narrowed(SQL("true"), link)
    )
    rows: list[tuple[Any, int]] = databases.session(name).rows(query, doing=f"counting the rows of {link.child}")
    return rows


def _owners(databases: Databases, link: Link, table: TableName) -> Owners:
    """Return the tenant of each row, by key."""
    key = databases.schema(MASTER).tables[table.table].primary_key
    query = SQL("SELECT {}, {} FROM {}").format(Identifier(*key), Identifier(*link.columns), identifier(table.table))
    rows = databases.master.rows(query, doing=f"reading the tenants of the rows of {table}")
    return {key: key_of((tenant_id,)) for key, tenant_id in rows if tenant_id is not None}


def _by_tenant(grouped: list[tuple[Any, int]], owners: Owners | None) -> Counter[Key]:
    """Sum grouped rows by tenant."""
    counted: Counter[Key] = Counter()
    for key, rows in grouped:
        owner = key_of((key,)) if owners is None else owners.get(key)
        if key is not None and owner is not None:
            counted[owner] += rows
    return counted
