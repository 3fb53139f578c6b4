"""The resolved catalog: the tables that belong to a tenant, and the links by which its rows are found. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from archiver.catalog.depths import depth_mistakes
from archiver.catalog.graph import cycles
from errors import Problems, UsageError
from formatting import plural, with_article
from inventory.catalog import Catalog, Table, Tenant
from inventory.keys import Key

MASTER, SHARD = "master", "shard"
_NAMES = r"(\w+|\(\w+(?:, ?\w+)*\))"  # one column, or several in parentheses
_LINK = re.compile(rf"{_NAMES} = (?:(master|shard)\.)?(\w+)\.{_NAMES}(?: where (\w+) = (.+))?", re.ASCII)

Where = tuple[str, str]  # a column of a link's child table, and the value it must have


@dataclass(frozen=True, order=True)
class TableName:
    """A table of the model: `shard.enrollments`."""

    database: str  # master or shard
    table: str

    def __str__(self) -> str:
        return f"{self.database}.{self.table}"


@dataclass(frozen=True)
class Link:
    """Rows of `child` belong to rows of `parent` where the columns are equal (and `where` is true)."""

    child: TableName
    columns: tuple[str, ...]
    parent: TableName
    parent_columns: tuple[str, ...]  # as many as `columns`
    where: Where | None = None

    def __str__(self) -> str:
        return f"{self.child}.{listed(self.columns)} = {self.parent}.{listed(self.parent_columns)}"

    @property
    def text(self) -> str:
        """The link as `found_by` in the catalog writes it."""
        parent = self.parent.table if self.parent.database == self.child.database else str(self.parent)
        where = f" where {' = '.join(self.where)}" if self.where else ""
        return f"{listed(self.columns)} = {parent}.{listed(self.parent_columns)}{where}"

    @property
    def recursive(self) -> bool:
        """True if the link leads from a table to itself: rows below rows."""
        return self.child == self.parent

    @property
    def reversed(self) -> Link:
        """The link in the other direction: the parent is found by its child."""
        return Link(self.parent, self.parent_columns, self.child, self.columns)


@dataclass(frozen=True)
class Part:
    """A part of a tenant that can be restored alone: `classroom 42`."""

    noun: str  # one of the catalog's parts
    id: Key

    def __str__(self) -> str:
        return f"{self.noun} {self.id}"

    def to_json(self) -> dict[str, Key]:
        """Return plain data: {"classroom": 42}."""
        return {self.noun: self.id}


@dataclass(frozen=True, kw_only=True)
class Model:
    """The resolved catalog; tables are in order, parents first."""

    catalog: Catalog  # as written
    tables: tuple[TableName, ...]
    links: tuple[Link, ...]  # by which rows are found
    external_links: tuple[Link, ...]  # rows of `parent` need those of `child`, which then stay live
    root: TableName

    @property
    def tenant(self) -> Tenant:
        """The catalog entry of the table that has one row for each tenant."""
        return self.catalog.tenant

    @property
    def heads(self) -> tuple[TableName, ...]:
        """The tables that have one row for each thing that a group is named after: classrooms, students."""
        groups = {table: self.catalog.databases[table.database][table.table].group for table in self.tables}
        return tuple(table for table in self.tables if table != self.root and table.table == plural(groups[table]))

    def table_of_part(self, noun: str) -> TableName:
        """Return the table with the rows of parts of that noun; raise UsageError if the catalog has no such parts."""
        if noun not in self.tenant.parts:
            nouns = ", ".join(self.tenant.parts) or "none"
            raise UsageError(
                f"The catalog of tables has no part {noun!r} of {with_article(self.tenant.noun)} (there: {nouns})."
            )
        return TableName(MASTER, self.tenant.parts[noun])

    def catalog_entry(self, table: TableName) -> Table | None:
        """Return the catalog's entry for a table; None if it is not in the catalog."""
        return self.catalog.databases.get(table.database, {}).get(table.table)

    def triggers_to_disable(self, table: TableName) -> tuple[str, ...]:
        """Return the user triggers of a table that are disabled while its rows are deleted or loaded."""
        entry = self.catalog_entry(table)
        return tuple(entry.quiet) if entry else ()

    def written_besides(self, database: str) -> dict[str, frozenset[str]]:
        """Return by table of a database the tables that its triggers and rules may insert into or update."""
        tables = self.catalog.databases.get(database, {})
        return {
            name: frozenset(written for tables_written in table.writes.values() for written in tables_written)
            for name, table in tables.items()
            if table.writes
        }

    def changed_by_triggers(self, table: TableName) -> frozenset[str]:
        """Return the columns of a table that its own triggers may set when rows are loaded."""
        entry = self.catalog_entry(table)
        return frozenset(column for columns in entry.changes.values() for column in columns) if entry else frozenset()

    def found_by(self, table: TableName) -> tuple[Link, ...]:
        """Return the links by which a table's rows are found."""
        return self._found_by.get(table, ())

    def referenced_by(self, table: TableName) -> tuple[Link, ...]:
        """Return every link by which a row of another table may need a row of this one."""
        return (*self.found_by(table), *(need for need in self.external_links if need.child == table))

    def of(self, database: str) -> tuple[TableName, ...]:
        """Return the tables of one database, parents first."""
        return tuple(table for table in self.tables if table.database == database)

    def columns(self, table: TableName) -> tuple[str, ...]:
        """Return the columns that link this table with others, sorted."""
        links = (*self.links, *self.external_links)
        child = {column for link in links if link.child == table for column in link.columns}
        parent = {column for link in links if link.parent == table for column in link.parent_columns}
        return tuple(sorted(child | parent))

    def conditions(self, table: TableName) -> tuple[Where, ...]:
        """Return the distinct conditions of the links that lead to a table, in a fixed order."""
        return tuple(dict.fromkeys(link.where for link in self.referenced_by(table) if link.where))

    def start(self, depth: str) -> TableName:
        """Return the table from which a depth deletes: master's, if a shard has a table of that name too."""
        return min(table for table in self.tables if table.table == self.catalog.rule(depth).start)

    def below(self, depth: str) -> frozenset[TableName]:
        """Return the tables from which a depth deletes rows."""
        rule = self.catalog.rule(depth)
        reached = {self.start(depth)}
        for table in self.tables:
            if table.table not in rule.stay and any(link.parent in reached for link in self.found_by(table)):
                reached.add(table)
        return frozenset(reached)

    def in_order(self, depths: Iterable[str]) -> list[str]:
        """Return depths in the order in which they are deleted: first those that delete from the most tables.

        So a row of two tenants stays if one of them keeps it: that tenant's rows still refer to it when the other's go.
        """
        return sorted(depths, key=lambda depth: (-len(self.below(depth)), depth))

    @cached_property
    def _found_by(self) -> dict[TableName, tuple[Link, ...]]:
        return {table: tuple(link for link in self.links if link.child == table) for table in self.tables}


def resolve(catalog: Catalog) -> Model:
    """Return the model that a catalog describes; raise Problems with all its mistakes at once."""
    mistakes: list[str] = []
    written = {
        TableName(database, name): table
        for database, tables in catalog.databases.items()
        for name, table in tables.items()
    }
    root = TableName(MASTER, catalog.tenant.table)
    links = [link for name, table in written.items() for link in _links(name, table.found_by, "found_by", mistakes)]
    needs = [link for name, table in written.items() for link in _links(name, table.needed_by, "needed_by", mistakes)]
    mistakes += _mistakes(catalog, root, set(written), links)
    mistakes += _unknown_writers(written)
    mistakes += (
        f"tenant/parts/{noun}: expected a table of databases/{MASTER}, got {table!r}"
        for noun, table in catalog.tenant.parts.items()
        if TableName(MASTER, table) not in written
    )
    mistakes += (
        f"databases/{MASTER}/{root.table}/needed_by: expected nothing, a tenant's own row goes; got {need.text}"
        for need in needs
        if need.child == root
    )
    waits = [*links, *(need for need in needs if need.parent in written)]
    parents = {
        table: {link.parent for link in waits if link.child == table and not link.recursive} for table in written
    }
    order = _parents_first(parents)
    mistakes += (_cycle(tables, waits) for tables in cycles(parents))
    if mistakes:
        raise Problems("The catalog of tables has mistakes:", mistakes)
    return Model(catalog=catalog, tables=order, links=tuple(links), external_links=tuple(needs), root=root)


def _links(child: TableName, written: Iterable[str], key: str, mistakes: list[str]) -> Iterable[Link]:
    """Yield the links that a table's entries describe; append what is malformed to `mistakes`."""
    for text in written:
        match = _LINK.fullmatch(text)
        columns, parents = (_columns(match[1]), _columns(match[4])) if match else ((), ())
        if match is None or len(columns) != len(parents):
            mistakes.append(
                f"databases/{child.database}/{child.table}/{key}: expected `column = table.column "
                f"[where column = value]` or `(a, b) = table.(x, y)`, got {text!r}"
            )
            continue
        where = (match[5], match[6]) if match[5] else None
        yield Link(child, columns, TableName(match[2] or child.database, match[3]), parents, where)


def _columns(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.strip("()").split(","))


def listed(columns: tuple[str, ...]) -> str:
    """Return columns as a link writes them: one as it is, several in parentheses."""
    return columns[0] if len(columns) == 1 else f"({', '.join(columns)})"


def _mistakes(catalog: Catalog, root: TableName, tables: set[TableName], links: list[Link]) -> Iterable[str]:
    for database in catalog.databases.keys() - {MASTER, SHARD}:
        yield f"databases/{database}: expected master or shard, got {database!r}"
    if root not in tables:
        yield f"tenant/table: expected a table of databases/master, got {root.table!r}"
    if (catalog.tenant.shard is None) != (SHARD not in catalog.databases):
        yield "tenant/shard: expected a column exactly if there is databases/shard"
    for link in links:
        if link.child == root:
            yield f"databases/{root.database}/{root.table}/found_by: expected nothing, it has its key; got {link}"
        if link.parent not in tables:
            path = f"databases/{link.child.database}/{link.child.table}/found_by"
            yield f"{path}: expected a table of the catalog, got {link.parent}"
    for orphan in tables - {link.child for link in links if not link.recursive} - {root}:
        yield f"databases/{orphan.database}/{orphan.table}/found_by: expected a way to find its rows, got none"
    yield from depth_mistakes(catalog, {table.table for table in tables})
    yield from catalog.upkeep_mistakes()


def _unknown_writers(tables: Mapping[TableName, Table]) -> Iterable[str]:
    for name, table in tables.items():
        for writer in table.writes.keys() - {**table.triggers, **table.rules}.keys():
            path = f"databases/{name.database}/{name.table}"
            yield f"{path}/writes: expected a name of {path}/triggers or {path}/rules, got {writer!r}"
        for trigger in table.changes.keys() - table.triggers.keys():
            path = f"databases/{name.database}/{name.table}"
            yield f"{path}/changes: expected a name of {path}/triggers, got {trigger!r}"


def _parents_first(parents: Mapping[TableName, set[TableName]]) -> tuple[TableName, ...]:
    """Return the tables in written order, but each after all its parents; tables on a cycle are left out."""
    order: list[TableName] = []
    while ready := [table for table in parents if table not in order and parents[table] <= set(order)]:
        order.append(ready[0])
    return tuple(order)


def _cycle(tables: tuple[TableName, ...], links: Iterable[Link]) -> str:
    link = next(link for link in links if link.child in tables and link.parent in tables and not link.recursive)
    return (
        f"databases: expected no cycle of found_by, got one through {', '.join(map(str, tables))}: "
        f"remove one of its links, or reverse it, such as {link.reversed} instead of {link}"
    )
