"""Steps from archived rows to others: by the catalog's links, and by foreign keys; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from archiver.catalog.model import Link, TableName, Where
from archiver.postgres.schema import Schema


@dataclass(frozen=True, kw_only=True)
class LinkStep:
    """A step from a row of `source` to the rows of `target` with the same values in their columns."""

    source: TableName
    columns: tuple[str, ...]
    target: TableName
    target_columns: tuple[str, ...]
    source_where: Where | None = None
    target_where: Where | None = None


def below(links: Iterable[Link]) -> list[LinkStep]:
    """Return the steps from each row to the rows found by it."""
    return [_down(link) for link in links]


def named(links: Iterable[Link], schemas: Mapping[str, Schema]) -> list[LinkStep]:
    """Return the steps from each row to the rows it refers to by their key, in a link or a foreign key."""
    return [*_named_by_links(links, schemas), *_named_by_foreign_keys(schemas)]


def naming(links: Iterable[Link], key: tuple[str, ...]) -> list[LinkStep]:
    """Return the steps from a row to the rows that name it by its key, and by which it is found."""
    return [_up(link) for link in links if link.columns == key]


def _down(link: Link) -> LinkStep:
    """Return the step from parent to child."""
    return LinkStep(
        source=link.parent,
        columns=link.parent_columns,
        target=link.child,
        target_columns=link.columns,
        target_where=link.where,
    )


def _up(link: Link) -> LinkStep:
    """Return the step from child to parent."""
    return LinkStep(
        source=link.child,
        columns=link.columns,
        target=link.parent,
        target_columns=link.parent_columns,
        source_where=link.where,
    )


def _named_by_links(links: Iterable[Link], schemas: Mapping[str, Schema]) -> Iterator[LinkStep]:
    """Yield the steps to rows whose primary key a link refers to."""
    for link in links:
        if link.parent_columns == _key(schemas, link.parent):
            yield _up(link)
        elif link.columns == _key(schemas, link.child):
            yield _down(link)


def _named_by_foreign_keys(schemas: Mapping[str, Schema]) -> Iterator[LinkStep]:
    """Yield the steps along foreign keys between these tables."""
    for database, schema in schemas.items():
        for name, table in schema.tables.items():
            for key in table.foreign_keys:
                if key.target in schema.tables:
                    yield LinkStep(
                        source=TableName(database, name),
                        columns=key.columns,
                        target=TableName(database, key.target),
                        target_columns=key.target_columns,
                    )


def _key(schemas: Mapping[str, Schema], table: TableName) -> tuple[str, ...]:
    """Return a table's primary key."""
    return schemas[table.database].tables[table.table].primary_key
