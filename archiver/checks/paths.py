"""Paths along the catalog's links: which rows refer to which, and from a row up to its tenants; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archiver.catalog.model import Link, Model, TableName, Where
from archiver.postgres.schema import Schema, Table

Chain = tuple[Link, ...]  # from a table up to the tenants' table


@dataclass(frozen=True)
class ReferencePath:
    """Rows of one table refer to rows of another by primary key."""

    table: TableName
    columns: tuple[str, ...]
    named: TableName
    named_columns: tuple[str, ...]
    where: Where | None = None

    @property
    def across(self) -> bool:
        """True if the path joins master and a shard, where no foreign key is possible."""
        return self.table.database != self.named.database


def reference_paths(model: Model, schemas: Mapping[str, Schema]) -> list[ReferencePath]:
    """Return each reference of the catalog once, from whichever side its link is written."""
    paths = (_reference_path(link, schemas) for link in (*model.links, *model.external_links))
    return list(dict.fromkeys(path for path in paths if path))


def _reference_path(link: Link, schemas: Mapping[str, Schema]) -> ReferencePath | None:
    """Return the link as a reference by primary key; None if it is not one."""
    child, parent = (_shape(table, schemas) for table in (link.child, link.parent))
    if parent and parent.primary_key == link.parent_columns:
        return ReferencePath(link.child, link.columns, link.parent, link.parent_columns, link.where)
    if child and child.primary_key == link.columns and link.where is None:
        return ReferencePath(link.parent, link.parent_columns, link.child, link.columns)
    return None


def _shape(table: TableName, schemas: Mapping[str, Schema]) -> Table | None:
    """Return a table's columns and keys; None if it does not exist."""
    return schemas[table.database].tables.get(table.table)


def keyed(path: ReferencePath, schema: Schema) -> bool:
    """True if a foreign key matches the path."""
    pairs = {*zip(path.columns, path.named_columns, strict=True)}
    return path.where is None and any(
        key.target == path.named.table and {*zip(key.columns, key.target_columns, strict=True)} == pairs
        for key in schema.tables[path.table.table].foreign_keys
    )


def chains(model: Model, table: TableName) -> Iterator[Chain]:
    """Yield every chain of links from a table's rows up to the tenants, without links within one table."""
    for link in model.found_by(table):
        if link.recursive:
            continue
        if link.parent == model.root:
            yield (link,)
        else:
            yield from ((link, *rest) for rest in chains(model, link.parent))


def sharable(model: Model, schemas: Mapping[str, Schema]) -> list[TableName]:
    """Return the tables with rows that may belong to several tenants themselves, not only through a parent."""
    return [table for table in model.tables if table != model.root and not _single(model, table, schemas)]


def _single(model: Model, table: TableName, schemas: Mapping[str, Schema]) -> bool:
    """True if each row has exactly one parent, found by primary key."""
    links = [link for link in model.found_by(table) if not link.recursive]
    parent = _shape(links[0].parent, schemas)
    return len(links) == 1 and parent is not None and parent.primary_key == links[0].parent_columns


def owners(model: Model, table: TableName) -> dict[tuple[str, ...], Link]:
    """Return the columns of a table that refer to an owner, each with its link."""
    return {link.columns: link for link in model.found_by(table) if not link.recursive}


def ways_in(model: Model, table: TableName) -> list[Link]:
    """Return the links within one database by which several tables lead to the same columns; else none."""
    alike: dict[tuple[str, ...], list[Link]] = {}
    for link in model.found_by(table):
        if link.child.database == link.parent.database and not link.recursive:
            alike.setdefault(link.columns, []).append(link)
    return next((links for links in alike.values() if len(links) > 1), [])
