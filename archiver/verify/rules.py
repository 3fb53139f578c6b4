"""What must hold of loaded rows, each asked of a whole table at once: the tenants of which it does not hold."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from archiver.catalog.model import Link, Model, TableName
from archiver.postgres.schema import TENANT, Schema
from archiver.postgres.selection import matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier

# As pg_get_constraintdef writes a key; what follows the columns (INCLUDE, DEFERRABLE) changes nothing here.
_KEY = re.compile(r'(PRIMARY KEY|UNIQUE)( NULLS NOT DISTINCT)? \(((?:"(?:[^"]|"")*"|[^)"])+)\)')
_OVERLAPS = " WITHOUT OVERLAPS"


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A rule, and a query for the tenants of what breaks it."""

    table: TableName
    rule: str  # a sentence's end: "several of its rows have one key"
    broken: Composable  # a SELECT: a tenant's id for each row or key that does


def proofs(model: Model, database: str, schema: Schema, places: Mapping[str, Composable]) -> Iterator[Proof]:
    """All of one database: keys are unique, every row belongs to the tenant, and no foreign key leads nowhere.

    What an archive calls otherwise than the catalog does today is left out; links across databases can't be seen here.
    """
    for name in schema.tables:
        yield from _unique(TableName(database, name), schema, places[name])
    for table in model.of(database):
        links = model.found_by(table)
        if links and all(_sayable(link, database, schema) for link in links):
            yield _found(table, links, places)
    for link in model.links:
        if _sayable(link, database, schema) and _keyed(link, schema):
            yield _named(link, places)


def _unique(table: TableName, schema: Schema, place: Composable) -> Iterator[Proof]:
    query = SQL("SELECT {tenant} FROM {place} WHERE {whole} GROUP BY {tenant}, {columns} HAVING count(*) > 1")
    for text in schema.tables[table.table].constraints.values():
        key = _KEY.match(text)
        if key and not key[3].endswith(_OVERLAPS):  # of those, equal values may stand in ranges that are apart
            yield Proof(
                table=table,
                rule=f"several of its rows have one key, {key[3]}",
                # With a NULL in it a key equals no other, unless it says otherwise.
                broken=query.format(
                    tenant=Identifier(TENANT),
                    place=place,
                    whole=SQL("true" if key[2] else f"ROW({key[3]}) IS NOT NULL"),
                    columns=SQL(key[3]),
                ),
            )


def _found(table: TableName, links: Iterable[Link], places: Mapping[str, Composable]) -> Proof:
    found = SQL(" OR ").join(narrowed(_exists(link, "c", "p", places[link.parent.table]), link, "c") for link in links)
    query = SQL("SELECT c.{} FROM {} c WHERE NOT coalesce({}, false)")
    return Proof(
        table=table,
        rule="rows of it belong to nobody in the archive",
        broken=query.format(Identifier(TENANT), places[table.table], found),
    )


def _named(link: Link, places: Mapping[str, Composable]) -> Proof:
    """A row is found because another names it by a foreign key: where it does, the row must be there."""
    whole = SQL(" AND ").join(SQL("p.{} IS NOT NULL").format(Identifier(name)) for name in link.parent_columns)
    query = SQL("SELECT p.{} FROM {} p WHERE {} AND NOT {}")
    there = _exists(link, "p", "c", places[link.child.table])
    return Proof(
        table=link.parent,
        rule=f"rows of it name rows of {link.child} that are not there",
        broken=query.format(Identifier(TENANT), places[link.parent.table], whole, there),
    )


def _exists(link: Link, outer: str, inner: str, place: Composable) -> Composable:
    """That a row has its other side of a link, of the same tenant."""
    return SQL("EXISTS (SELECT 1 FROM {place} {inner} WHERE {inner}.{tenant} = {outer}.{tenant} AND {match})").format(
        place=place,
        inner=SQL(inner),
        outer=SQL(outer),
        tenant=Identifier(TENANT),
        match=matched(link, "c", "p"),
    )


def _sayable(link: Link, database: str, schema: Schema) -> bool:
    """Whether an archive has the tables and columns of a link."""
    where = [link.where[0]] if link.where else []
    sides = ((link.child, [*link.columns, *where]), (link.parent, link.parent_columns))
    return all(
        table.database == database
        and table.table in schema.tables
        and {column.name for column in schema.tables[table.table].columns}.issuperset(columns)
        for table, columns in sides
    )


def _keyed(link: Link, schema: Schema) -> bool:
    """Whether a foreign key leads from the link's parent to the rows that are found by it."""
    pairs = {*zip(link.parent_columns, link.columns, strict=True)}
    return link.where is None and any(
        key.target == link.child.table and {*zip(key.columns, key.target_columns, strict=True)} == pairs
        for key in schema.tables[link.parent.table].foreign_keys
    )
