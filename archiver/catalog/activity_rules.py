"""The catalog's activity rules, resolved: the tables that are archived by month, and the links to their rows. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from archiver.catalog.graph import reachable
from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName, Where
from errors import UsageError
from inventory.catalog import Activity


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The tables that are archived month by month, as the catalog says."""

    model: Model

    @property
    def database(self) -> str:
        """The database that holds all activity."""
        return SHARD if self.model.tenant.shard else MASTER

    @cached_property
    def ended(self) -> Mapping[TableName, Activity]:
        """The tables whose rows hold the time at which they ended, with their rules."""
        return {TableName(self.database, name): rule for name, rule in self.model.catalog.activity.items()}

    @cached_property
    def tables(self) -> tuple[TableName, ...]:
        """All activity tables, parents first."""
        names = {*self.ended, *(table for rule in self.ended for table in self.deleted_with(rule))}
        return tuple(table for table in self.model.tables if table in names)

    @cached_property
    def reachable_model(self) -> Model:
        """The model of the activity tables and of every table on a path from the tenant to them."""
        parents = {table: [link.parent for link in self.model.found_by(table)] for table in self.model.tables}
        names = {*self.tables, *(parent for table in self.tables for parent in reachable(table, parents))}
        return _narrowed(self.model, names, [link for link in self.model.links if link.child in names])

    @cached_property
    def archive_model(self) -> Model:
        """The model of the activity tables with the links that hold inside a monthly archive.

        Rows that are deleted with another row have their parent in the archive; other rows may not.
        """
        taken = set(self.tables) - set(self.ended)
        return _narrowed(self.model, set(self.tables), [link for link in self.inner if link.child in taken])

    @cached_property
    def inner(self) -> tuple[Link, ...]:
        """The links between two different activity tables."""
        return tuple(
            link for link in self.model.links if {link.child, link.parent} <= {*self.tables} and not link.recursive
        )

    @cached_property
    def entries(self) -> tuple[Link, ...]:
        """The links from tables outside activity to activity tables."""
        return tuple(
            link for link in self.reachable_model.links if link.child in self.tables and link not in self.inner
        )

    def above(self, table: TableName) -> tuple[Link, ...]:
        """Return the links to a table from the activity tables above it."""
        return tuple(link for link in self.inner if link.child == table)

    def below(self, table: TableName) -> tuple[Link, ...]:
        """Return the links from a table to the activity tables below it."""
        return tuple(link for link in self.inner if link.parent == table)

    def deleted_with(self, table: TableName) -> frozenset[TableName]:
        """Return the tables whose rows are deleted with a table's rows."""
        return frozenset(TableName(self.database, name) for name in self.ended[table].takes)


def rules(model: Model) -> Rules:
    """Return the activity rules of a catalog; raise UsageError if it has none."""
    if not model.catalog.activity:
        raise UsageError(
            "The catalog of tables has no activity: nothing is archived by month.",
            hint="See `activity` in inventory/catalog.yaml.",
        )
    return Rules(model=model)


def mistakes(model: Model) -> Iterator[str]:
    """Yield each mistake in a catalog's activity rules, with its path."""
    rules = Rules(model=model)
    in_catalog = set(model.of(rules.database))
    for table, rule in rules.ended.items():
        path = f"activity/{table.table}"
        if table not in in_catalog:
            yield f"{path}: expected a table of databases/{rules.database}, got {table.table!r}"
        elif rule.where is not None and condition_of(rule) is None:
            yield f"{path}/where: expected `column = value`, got {rule.where!r}"
        else:
            yield from _takes_mistakes(rules, table, path)
    for table in rules.tables:
        links = model.found_by(table)
        if len(links) != 1 or links[0].recursive:
            yield f"activity: expected tables that are found by one link, and {table.table} is found by {len(links)}"
    for need in model.external_links:
        if need.child in rules.tables:
            yield f"activity: expected tables that no other table needs, and {need.parent} needs {need.child.table}"


def condition_of(rule: Activity) -> Where | None:
    """Return the column and the value of a rule's condition; None if it has none, or the condition is malformed."""
    column, equals, value = (rule.where or "").partition(" = ")
    return (column, value) if equals and column.isidentifier() and value else None


def _takes_mistakes(rules: Rules, table: TableName, path: str) -> Iterator[str]:
    """Yield a mistake if rows below a table would be left behind when its rows are deleted."""
    below = _below(rules, table)
    if below != rules.deleted_with(table):
        expected = ", ".join(sorted(name.table for name in below)) or "nothing"
        got = ", ".join(sorted(rules.ended[table].takes)) or "nothing"
        yield f"{path}/takes: expected all that is found below it and has no rule of its own ({expected}), got {got}"


def _below(rules: Rules, table: TableName) -> frozenset[TableName]:
    """Return the tables below a table that have no rule of their own."""
    without_rule = set(rules.model.of(rules.database)) - set(rules.ended)
    children = {
        parent: [link.child for link in rules.model.links if link.parent == parent and link.child in without_rule]
        for parent in rules.model.of(rules.database)
    }
    return frozenset(reachable(table, children))


def _narrowed(model: Model, tables: set[TableName], links: list[Link]) -> Model:
    """Return the model with only these tables and links."""
    return replace(
        model, tables=tuple(table for table in model.tables if table in tables), links=tuple(links), external_links=()
    )
