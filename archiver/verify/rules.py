"""The rules that loaded rows must obey: queries over an entire table, for the tenants that break them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from archiver.catalog.model import Link, Model, TableName
from archiver.postgres.schema import TENANT, Schema
from archiver.postgres.selection import matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier

# A key as pg_get_constraintdef writes it. What follows the columns (INCLUDE, DEFERRABLE) does not matter here.
_KEY = re.compile(r'(PRIMARY KEY|UNIQUE)( NULLS NOT DISTINCT)? \(((?:"(?:[^"]|"")*"|[^)"])+)\)')
_OVERLAPS = " WITHOUT OVERLAPS"


@dataclass(frozen=True, kw_only=True)
class RowRule:
    """A rule, and the query for tenants that break it."""

    table: TableName
    rule: str  # a sentence's end: "several of its rows have one key"
    broken: Composable  # a SELECT: the tenant's number for each row or key that breaks the rule


def row_rules(model: Model, database: str, schema: Schema, relations: Mapping[str, Composable]) -> Iterator[RowRule]:
    """Yield the rules of one database: unique keys, every row belongs to its tenant, no dangling foreign key.

    Links to tables or columns that have other names in the archive are skipped, and so are links across databases.
    """
    for name in schema.tables:
        yield from _unique(TableName(database, name), schema, relations[name])
    for table in model.of(database):
        links = model.found_by(table)
        if links and all(_in_archive(link, database, schema) for link in links):
            yield _belongs(table, links, relations)
    for link in model.links:
        if _in_archive(link, database, schema) and _keyed(link, schema):
            yield _referenced(link, relations)


def _unique(table: TableName, schema: Schema, relation: Composable) -> Iterator[RowRule]:
    query = SQL("SELECT {tenant} FROM {relation} WHERE {condition} GROUP BY {tenant}, {columns} HAVING count(*) > 1")
    for text in schema.tables[table.table].constraints.values():
        key = _KEY.match(text)
        if key and not key[3].endswith(_OVERLAPS):  # such a key allows equal values in separate ranges
            yield RowRule(
                table=table,
                rule=f"several of its rows have one key, {key[3]}",
                # A key with a NULL in it equals no other, unless NULLS NOT DISTINCT.
                broken=query.format(
                    tenant=Identifier(TENANT),
                    relation=relation,
                    condition=SQL("true" if key[2] else f"ROW({key[3]}) IS NOT NULL"),
                    columns=SQL(key[3]),
                ),
            )


def _belongs(table: TableName, links: Iterable[Link], relations: Mapping[str, Composable]) -> RowRule:
    has_parent = SQL(" OR ").join(
        narrowed(_exists(link, "c", "p", relations[link.parent.table]), link, "c") for link in links
    )
    query = SQL("SELECT c.{} FROM {} c WHERE NOT coalesce({}, false)")
    return RowRule(
        table=table,
        rule="some of its rows have no parent in the archive",
        broken=query.format(Identifier(TENANT), relations[table.table], has_parent),
    )


def _referenced(link: Link, relations: Mapping[str, Composable]) -> RowRule:
    """Return the rule that rows which a foreign key of the link's parent references are in the archive."""
    complete = SQL(" AND ").join(SQL("p.{} IS NOT NULL").format(Identifier(name)) for name in link.parent_columns)
    query = SQL("SELECT p.{} FROM {} p WHERE {} AND NOT {}")
    exists = _exists(link, "p", "c", relations[link.child.table])
    return RowRule(
        table=link.parent,
        rule=f"some of its rows reference rows of {link.child} that are not in the archive",
        broken=query.format(Identifier(TENANT), relations[link.parent.table], complete, exists),
    )


def _exists(link: Link, outer: str, inner: str, relation: Composable) -> Composable:
    """SQL: the other side of a row's link exists, with the same tenant."""
    return SQL(
        "EXISTS (SELECT 1 FROM {relation} {inner} WHERE {inner}.{tenant} = {outer}.{tenant} AND {match})"
    ).format(
        relation=relation,
        inner=SQL(inner),
        outer=SQL(outer),
        tenant=Identifier(TENANT),
        match=matched(link, "c", "p"),
    )


def _in_archive(link: Link, database: str, schema: Schema) -> bool:
    """True if an archive has the tables and columns of a link."""
    where = [link.where[0]] if link.where else []
    sides = ((link.child, [*link.columns, *where]), (link.parent, link.parent_columns))
    return all(
        table.database == database
        and table.table in schema.tables
        and {column.name for column in schema.tables[table.table].columns}.issuperset(columns)
        for table, columns in sides
    )


def _keyed(link: Link, schema: Schema) -> bool:
    """True if a foreign key leads from the link's parent to the rows found by the link."""
    pairs = {*zip(link.parent_columns, link.columns, strict=True)}
    return link.where is None and any(
        key.target == link.child.table and {*zip(key.columns, key.target_columns, strict=True)} == pairs
        for key in schema.tables[link.parent.table].foreign_keys
    )
