"""A product as an operator and a database see it: the catalog's YAML, and SQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.properties.product import MASTER, SHARD, Column, Link, Product, Table
from tests.properties.values import TYPES


def catalog(product: Product) -> str:
    """The catalog; JSON is YAML, too."""
    databases = {MASTER, *(SHARD for _ in product.shards[:1])}
    root: dict[str, Any] = {"noun": "account", "table": product.root.name, "title": "title"}
    key = list(product.root.primary_key)
    if product.shards:
        root["shard"] = "shard"
    tables = [product.tables[path] for path in product.written]
    written = {
        "tenant": root | {"key": key[0] if len(key) == 1 else key} | _customer(product),
        "databases": {
            database: {table.name: _entry(product, table) for table in tables if table.database == database}
            for database in sorted(databases)
        },
        "depths": {
            "all": {"start": product.root.name},
            "students": {"start": product.tables[product.start].name, "stay": list(product.stay)},
        },
    }
    return json.dumps(written, indent=1)


def _customer(product: Product) -> dict[str, Any]:
    if "master.customers" not in product.tables:
        return {}
    return {"customer": {"column": "customer", "table": "customers", "key": "id", "title": "title"}}


def _entry(product: Product, table: Table) -> dict[str, Any]:
    links = [link for link in product.links if link.child == table.path]
    known = {name for link in product.links for name in _columns_of(link, table)}
    pointers = {name for key in product.foreign_keys if key.table == table.path for name in key.columns} - known
    return {
        "group": "any",
        "found_by": [_says(link) for link in links if link.finds],
        "needed_by": [_says(link) for link in links if not link.finds],
        "ignored": dict.fromkeys(sorted(pointers), "leads to no row of a tenant"),
    }


def _columns_of(link: Link, table: Table) -> Iterator[str]:
    if link.child == table.path:
        yield from link.columns
    if link.parent == table.path:
        yield from link.parent_columns


def _says(link: Link) -> str:
    where = f" where {link.where[0]} = {link.where[1].rstrip()}" if link.where else ""
    near = link.child.split(".")[0] == link.parent.split(".")[0]
    parent = link.parent.split(".")[1] if near else link.parent
    return f"{_several(link.columns)} = {parent}.{_several(link.parent_columns)}{where}"


def _several(names: tuple[str, ...]) -> str:
    return names[0] if len(names) == 1 else f"({', '.join(names)})"


def script(product: Product, database: str) -> str:
    """Return SQL for the empty tables of a database, without the foreign keys."""
    tables = [table for table in product.tables.values() if table.database == database]
    return TYPES + "\n".join(part for table in tables for part in _create(table))


def _create(table: Table) -> Iterator[str]:
    key = [f"PRIMARY KEY ({_list(table.primary_key)})"] if table.primary_key else []
    lines = [*map(_column, table.columns), '"dropped" text', *key, *table.constraints]
    by = f" PARTITION BY HASH ({quoted(table.partitioned_by)})" if table.partitioned_by else ""
    body = ",\n  ".join(lines)
    yield f"CREATE TABLE public.{quoted(table.name)} (\n  {body}\n){by};"
    if by:
        for number in range(2):
            yield (
                f"CREATE TABLE public.{quoted(f'{table.name} part {number}')} PARTITION OF public.{quoted(table.name)}"
                f" FOR VALUES WITH (MODULUS 2, REMAINDER {number});"
            )
    yield f'ALTER TABLE public.{quoted(table.name)} DROP COLUMN "dropped";'


def _column(column: Column) -> str:
    kind = column.type
    if column.numbered == "serial":
        kind = {"smallint": "smallserial", "integer": "serial", "bigint": "bigserial"}[kind]
    elif column.numbered:
        kind += f" GENERATED {column.numbered} AS IDENTITY"
    how = f" GENERATED ALWAYS AS {column.generated}" if column.generated else ""
    return f"{quoted(column.name)} {kind}{how}{'' if column.nullable else ' NOT NULL'}"


def foreign_keys(product: Product, database: str) -> str:
    """Return SQL that adds the foreign keys of a database, once its rows exist."""
    return "\n".join(
        f"ALTER TABLE public.{quoted(product.tables[key.table].name)} ADD FOREIGN KEY ({_list(key.columns)})"
        f" REFERENCES public.{quoted(product.tables[key.target].name)} ({_list(key.target_columns)}) {key.words};"
        for key in product.foreign_keys
        if product.tables[key.table].database == database
    )


def told(product: Product) -> str:
    """Return a description of the product for a person, should it fail."""
    parts = [catalog(product), str(product.run)]
    for database in (MASTER, *(SHARD for _ in product.shards[:1])):
        parts += [f"-- {database}", script(product, database), foreign_keys(product, database)]
    return "\n".join([*parts, *(f"{row.place} {row.table} {dict(row.cells)}" for row in product.rows)])


def _list(names: tuple[str, ...]) -> str:
    return ", ".join(map(quoted, names))


def quoted(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
