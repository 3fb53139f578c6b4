"""Columns and types that can point at a carried table, and what the catalog says of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from archiver.catalog.model import Model, TableName, listed
from archiver.catalog.naming import key_word, key_words, singular, snake_case, table_of_class
from archiver.completeness.live import LiveCatalogue
from archiver.completeness.references import in_catalog


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """Columns that can point at a carried table and that the catalog does not mention."""

    table: TableName
    columns: tuple[str, ...]  # of a materialized view: none, it holds a copy of rows
    points_at: TableName
    value: str | None = None  # of a polymorphic pair: the type that points there; `columns` is then the type column

    def __str__(self) -> str:
        if not self.columns:
            return f"{self.table} is a materialized view with rows of {self.points_at}"
        if self.value is not None:
            return f"{self.table}.{self.columns[0]} = {self.value} is {self.points_at}"
        return f"{self.table}.{listed(self.columns)} can point at {self.points_at}"


def unexplained(model: Model, kind: str, live: LiveCatalogue) -> Iterator[Pointer]:
    """Yield foreign keys, columns by name, types of pairs and materialized views that the catalog does not mention."""
    found_in = (_by_key, _by_name, _by_type, _by_view)
    for pointer in (pointer for finder in found_in for pointer in finder(model, kind, live)):
        written = model.catalog_entry(pointer.table)
        if written is not None:
            names = pointer.columns if pointer.value is None else (f"{pointer.columns[0]} = {pointer.value}",)
            if not any(name in written.ignored for name in names):
                yield pointer
        elif not model.catalog.stays_live(kind, pointer.table.table):
            yield pointer


def vocabulary(model: Model) -> dict[str, TableName]:
    """Return the words for a carried table's key: `school_id`, and the column names in the catalog's own links."""
    words = {key_word(table.table): table for table in model.tables}
    for link in (*model.links, *model.external_links):
        if len(link.columns) > 1:
            continue
        [column], [parent_column] = map(snake_case, link.columns), map(snake_case, link.parent_columns)
        if link.where is None and column.endswith("_id"):
            words.setdefault(column, link.parent)
        if parent_column.endswith("_id"):
            words.setdefault(parent_column, link.child)
    return words


def _by_key(model: Model, kind: str, live: LiveCatalogue) -> Iterator[Pointer]:
    for key in live.references:
        target = TableName(kind, key.target)
        if key.table in live.tables and target in model.tables and not in_catalog(model, kind, key):
            yield Pointer(table=TableName(kind, key.table), columns=key.columns, points_at=target)


def _by_name(model: Model, kind: str, live: LiveCatalogue) -> Iterator[Pointer]:
    words, linked = _words(model, live), _linked_columns(model)
    keyed = {(key.table, *key.columns) for key in live.references}  # a foreign key says where its column leads
    for table, column in _columns(live):
        points_at = next((words[word] for word in key_words(column) if word in words), None)
        if points_at and (table, column) not in keyed and (kind, table, column) not in linked:
            yield Pointer(table=TableName(kind, table), columns=(column,), points_at=points_at)


def _words(model: Model, live: LiveCatalogue) -> dict[str, TableName | None]:
    """Return the vocabulary, with None for the keys of live tables that are not carried: their names come closer."""
    return {**{key_word(table): None for table in live.tables}, **vocabulary(model)}


def _columns(live: LiveCatalogue) -> Iterator[tuple[str, str]]:
    """Yield each table and column, also of relations that no catalog can carry."""
    for table, shape in live.tables.items():
        yield from ((table, column.name) for column in shape.columns)
    for relation, columns in live.elsewhere.columns.items():
        yield from ((relation, column) for column in columns)


def _by_type(model: Model, kind: str, live: LiveCatalogue) -> Iterator[Pointer]:
    stems = {snake_case(singular(table.table)): table for table in model.tables}
    typed = {(link.child, link.where) for link in (*model.links, *model.external_links)}
    for (table, column), values in live.types.items():
        for value in values:
            stem, child = table_of_class(live.class_of(column, value)), TableName(kind, table)
            points_at = stems.get(stem) or stems.get(singular(stem))
            if points_at and (child, (column, value)) not in typed:
                yield Pointer(table=child, columns=(column,), points_at=points_at, value=value)


def _by_view(model: Model, kind: str, live: LiveCatalogue) -> Iterator[Pointer]:
    for view, tables in live.elsewhere.views.items():
        for table in tables:
            if TableName(kind, table) in model.tables:
                yield Pointer(table=TableName(kind, view), columns=(), points_at=TableName(kind, table))


def _linked_columns(model: Model) -> set[tuple[str, str, str]]:
    """Return the columns on either side of the found_by and needed_by links."""
    links = (*model.links, *model.external_links)
    return {(link.child.database, link.child.table, column) for link in links for column in link.columns} | {
        (link.parent.database, link.parent.table, column) for link in links for column in link.parent_columns
    }


def line(model: Model, live: LiveCatalogue, pointer: Pointer) -> str:
    """Return a pointer as a problem, with the lines that would explain it."""
    table = pointer.table
    if table.table in live.elsewhere.columns:
        return (
            f"{pointer}, and no catalog can carry it. "
            f"Add to excluded/{table.database}: {{{table.table}: <why its rows stay>}}"
        )
    if model.catalog_entry(table) is None:
        return (
            f"{pointer}, and the catalog does not know the table. "
            f"Carry it, or add to excluded/{table.database}: {{{table.table}: <why it stays live>}}"
        )
    path, column = f"databases/{table.database}/{table.table}", pointer.columns[0]
    if pointer.value is None:
        return f"{pointer}. Add to {path}: found_by, or ignored: {{{column}: <why it leads nowhere>}}"
    condition = f"{column} = {pointer.value}"
    return f"{pointer}. Add to {path}: found_by … where {condition}, or ignored: {{{condition}: <why>}}"
