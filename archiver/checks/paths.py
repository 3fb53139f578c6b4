"""Which rows name which, and the ways from a row up to its tenants, as the catalog's links tell it; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archiver.catalog.model import Link, Model, TableName, Where
from archiver.postgres.schema import Schema, Table

Chain = tuple[Link, ...]  # from a table up to the tenants'


@dataclass(frozen=True)
class ReferencePath:
    """Rows of one table name a row of another by its primary key."""

    table: TableName
    columns: tuple[str, ...]
    named: TableName
    named_columns: tuple[str, ...]
    where: Where | None = None

    @property
    def across(self) -> bool:
        """Whether master and a shard are joined: no foreign key can be."""
        return self.table.database != self.named.database


def reference_paths(model: Model, schemas: Mapping[str, Schema]) -> list[ReferencePath]:
    """Every way in which the catalog says that rows name others, each once, whichever side it is written from."""
    found = (_naming(link, schemas) for link in (*model.links, *model.external_links))
    return list(dict.fromkeys(naming for naming in found if naming))


def _naming(link: Link, schemas: Mapping[str, Schema]) -> ReferencePath | None:
    child, parent = (_shape(table, schemas) for table in (link.child, link.parent))
    if parent and parent.primary_key == link.parent_columns:
        return ReferencePath(link.child, link.columns, link.parent, link.parent_columns, link.where)
    if child and child.primary_key == link.columns and link.where is None:
        return ReferencePath(link.parent, link.parent_columns, link.child, link.columns)
    return None


def _shape(table: TableName, schemas: Mapping[str, Schema]) -> Table | None:
    return schemas[table.database].tables.get(table.table)


def keyed(naming: ReferencePath, schema: Schema) -> bool:
    """Whether a foreign key says the same."""
    pairs = {*zip(naming.columns, naming.named_columns, strict=True)}
    return naming.where is None and any(
        key.target == naming.named.table and {*zip(key.columns, key.target_columns, strict=True)} == pairs
        for key in schema.tables[naming.table.table].foreign_keys
    )


def chains(model: Model, table: TableName) -> Iterator[Chain]:
    """Every way from a table's rows up to the tenants; from rows to rows of the same table none leads further up."""
    for link in model.found_by(table):
        if link.recursive:
            continue
        if link.parent == model.root:
            yield (link,)
        else:
            yield from ((link, *rest) for rest in chains(model, link.parent))


def sharable(model: Model, schemas: Mapping[str, Schema]) -> list[TableName]:
    """The tables of which a row may be several tenants' by itself, and not because of the row that it names."""
    return [table for table in model.tables if table != model.root and not _single(model, table, schemas)]


def _single(model: Model, table: TableName, schemas: Mapping[str, Schema]) -> bool:
    links = [link for link in model.found_by(table) if not link.recursive]
    parent = _shape(links[0].parent, schemas)
    return len(links) == 1 and parent is not None and parent.primary_key == links[0].parent_columns


def owners(model: Model, table: TableName) -> dict[tuple[str, ...], Link]:
    """The columns of a table that name an owner, each with its link."""
    return {link.columns: link for link in model.found_by(table) if not link.recursive}


def ways_in(model: Model, table: TableName) -> list[Link]:
    """The links within one database by which other rows lead to a table's key; fewer than two are no choice."""
    alike: dict[tuple[str, ...], list[Link]] = {}
    for link in model.found_by(table):
        if link.child.database == link.parent.database and not link.recursive:
            alike.setdefault(link.columns, []).append(link)
    return next((links for links in alike.values() if len(links) > 1), [])
