"""Columns by whose values rows cannot be found again: equal values have several texts, or two types do not meet."""

from __future__ import annotations

from collections.abc import Iterator

from archiver.catalog.model import Link, Model, TableName
from archiver.completeness.live_types import LiveType
from archiver.completeness.stale_entries import Lives


def unfit_keys(model: Model, lives: Lives) -> Iterator[str]:
    """Yield the links of the catalog that values cannot be followed by, and the primary keys that identify no row."""
    for link in (*model.links, *model.external_links):
        for column, parent_column in zip(link.columns, link.parent_columns, strict=True):
            yield from _unfit_link(link, column, parent_column, lives)
    for table in model.tables:
        for live in lives[table.database].values():
            for column in live.tables[table.table].primary_key if table.table in live.tables else ():
                live_type = live.column_types.get((table.table, column))
                if live_type and not live_type.identifies:
                    yield (
                        f"{table}.{column} is part of the primary key, and of type {live_type.name}: "
                        "rows cannot be found by such values"
                    )


def _unfit_link(link: Link, column: str, parent_column: str, lives: Lives) -> Iterator[str]:
    """Yield what keeps one pair of a link's columns from being compared."""
    for child in _types(lives, link.child, column):
        for parent in _types(lives, link.parent, parent_column):
            pair = f"{link.child}.{column} ({child.name}) = {link.parent}.{parent_column} ({parent.name})"
            if child.family is None or parent.family is None:
                name = child.name if child.family is None else parent.name
                yield f"{pair}: rows cannot be linked by {name}, of which equal values may be written differently"
            elif child.family != parent.family:
                yield f"{pair}: rows cannot be linked by values of two types. Give both columns the same type"


def _types(lives: Lives, table: TableName, column: str) -> list[LiveType]:
    """Return the types that a column has in the databases of its kind, each once."""
    types = [live.column_types.get((table.table, column)) for live in lives[table.database].values()]
    return list(dict.fromkeys(each for each in types if each))
