"""References between tables, read from the live catalogue: foreign keys, column names, polymorphic pairs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archiver.catalog.model import MASTER, Link, TableName
from archiver.catalog.naming import id_column, key_word, singular, snake_case, table_of_class
from archiver.completeness.live import LiveCatalogue
from archiver.postgres.schema import Table

ALIKE = {"smallint": "integer", "bigint": "integer", "character varying": "text"}  # types whose values compare
Key = tuple[TableName, str]  # a table with a key of one column


@dataclass(frozen=True, kw_only=True)
class Edge:
    """A reference from rows of one table to rows of another."""

    link: Link  # the child names the parent
    yields: bool = False  # may be NULL: in a cycle it is turned round before others
    by_name: bool = False  # no foreign key says so


def edges(lives: Mapping[str, LiveCatalogue]) -> list[Edge]:
    """Return every edge in these databases, by master or shard. A shard's tables may name master's."""
    by_link: dict[Link, Edge] = {}
    for kind in lives:
        for edge in (*_by_key(kind, lives[kind]), *_by_name(kind, lives), *_by_type(kind, lives)):
            by_link.setdefault(edge.link, edge)
    return list(by_link.values())


def _by_key(kind: str, live: LiveCatalogue) -> Iterator[Edge]:
    for key in live.references:
        if key.table in live.tables:
            link = Link(TableName(kind, key.table), key.columns, TableName(kind, key.target), key.target_columns)
            yield Edge(link=link, yields=any(_may_be_null(live.tables[key.table], name) for name in key.columns))


def _by_name(kind: str, lives: Mapping[str, LiveCatalogue]) -> Iterator[Edge]:
    live, words = lives[kind], {**_words(MASTER, lives[MASTER]), **_words(kind, lives[kind])}
    keyed = {(key.table, column) for key in live.references for column in key.columns}
    for name, table in live.tables.items():
        for column in table.columns:
            child, word = TableName(kind, name), snake_case(column.name)
            typed = any(table == name and id_column(type_column) == column.name for table, type_column in live.types)
            if word not in words or (name, column.name) in keyed or typed:
                continue
            parent, key = words[word]
            own = parent == child and table.primary_key == (column.name,)
            if not own and _alike(table, column.name, lives[parent.database].tables[parent.table], key):
                link = Link(child, (column.name,), parent, (key,))
                yield Edge(link=link, yields=not column.not_null, by_name=True)


def _by_type(kind: str, lives: Mapping[str, LiveCatalogue]) -> Iterator[Edge]:
    stems = {
        snake_case(singular(name)): (TableName(database, name), table.primary_key[0])
        for database in dict.fromkeys((MASTER, kind))
        for name, table in lives[database].tables.items()
        if len(table.primary_key) == 1
    }
    for (name, column), values in lives[kind].types.items():
        for value in values:
            if (stem := table_of_class(lives[kind].class_of(column, value))) in stems:
                (parent, key), id_ = stems[stem], str(id_column(column))
                target = lives[parent.database].tables[parent.table]
                if _alike(lives[kind].tables[name], id_, target, key):
                    yield Edge(link=Link(TableName(kind, name), (id_,), parent, (key,), (column, value)))


def _words(kind: str, live: LiveCatalogue) -> dict[str, Key]:
    """Return column names that mean a table's key: `school_id`, or names on which the database's foreign keys agree."""
    words = {
        key_word(name): (TableName(kind, name), table.primary_key[0])
        for name, table in live.tables.items()
        if len(table.primary_key) == 1
    }
    referenced: dict[str, set[Key]] = {}
    for key in live.references:
        if len(key.columns) == 1 and (word := snake_case(key.columns[0])).endswith("_id"):
            referenced.setdefault(word, set()).add((TableName(kind, key.target), key.target_columns[0]))
    return {**{column: keys.pop() for column, keys in referenced.items() if len(keys) == 1}, **words}


def _may_be_null(table: Table, name: str) -> bool:
    return any(column.name == name and not column.not_null for column in table.columns)


def _alike(child: Table, column: str, parent: Table, key: str) -> bool:
    """True if the values of the two columns can be compared."""
    left, right = (re.sub(r"\(.*\)", "", text) for text in (child.type_of(column), parent.type_of(key)))
    return ALIKE.get(left, left) == ALIKE.get(right, right)
