"""Steps from archived rows to others: by the catalog's links in the archive's names, and by foreign keys; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from archiver.catalog.model import Link, TableName, Where
from archiver.load.fit import Mappings
from archiver.postgres.schema import Schema
from errors import RefusedError


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
    """Yield the steps along foreign keys within the archive."""
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


def archived_links(links: Iterable[Link], mappings: Mappings) -> list[Link]:
    """Return the catalog's links under the archive's names, without those of which the archive lacks a table or column.

    Raises RefusedError if migrations compute the values that link rows.
    """
    return [link for today in links if (link := _archived_link(today, mappings)) is not None]


def _archived_link(link: Link, mappings: Mappings) -> Link | None:
    """Return one link under the archive's names; None if the archive lacks a table or column."""
    child = archived_columns(mappings, link.child, (*link.columns, *(link.where or ())[:1]))
    parent = archived_columns(mappings, link.parent, link.parent_columns)
    if child is None or parent is None:
        return None
    columns = child[1][: len(link.columns)]
    where = (child[1][-1], link.where[1]) if link.where else None
    return replace(link, child=child[0], columns=columns, parent=parent[0], parent_columns=parent[1], where=where)


def archived_columns(
    mappings: Mappings, table: TableName, columns: Sequence[str]
) -> tuple[TableName, tuple[str, ...]] | None:
    """Return the archive's names of a table and its columns; None if it lacks one."""
    mapping = mappings[table.database].by_target.get(table.table)
    if mapping is None:
        return None
    # A generated column is not copied, and computed from those that are.
    computed = {column.name: column.name for column in mapping.archived.columns if column.generated}
    origin_of = {**computed, **mapping.origins}
    if not origin_of.keys() >= set(columns):
        return None
    origins = tuple(origin for column in columns if (origin := origin_of[column]) is not None)
    if len(origins) < len(columns):
        raise RefusedError(
            f"Cannot find a part by {table}.{', '.join(columns)}: migrations compute the values.",
            hint="Restore the complete archive.",
        )
    return mapping.source, origins
