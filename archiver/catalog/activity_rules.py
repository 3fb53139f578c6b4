"""The catalog's rules of activity, resolved: which tables, and the ways to their rows; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from archiver.catalog.graph import reached
from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName, Where
from errors import UsageError
from inventory.catalog import Activity


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What goes month by month, by the catalog."""

    model: Model

    @property
    def database(self) -> str:
        """The database in which all of it lies."""
        return SHARD if self.model.tenant.shard else MASTER

    @cached_property
    def ended(self) -> Mapping[TableName, Activity]:
        """The tables whose own rows say when they ended."""
        return {TableName(self.database, name): rule for name, rule in self.model.catalog.activity.items()}

    @cached_property
    def tables(self) -> tuple[TableName, ...]:
        """All tables of activity, parents first."""
        names = {*self.ended, *(table for rule in self.ended for table in self.takes(rule))}
        return tuple(table for table in self.model.tables if table in names)

    @cached_property
    def reach(self) -> Model:
        """The model of just these tables and of all through which a tenant leads to them."""
        parents = {table: [link.parent for link in self.model.found_by(table)] for table in self.model.tables}
        names = {*self.tables, *(parent for table in self.tables for parent in reached(table, parents))}
        return _narrowed(self.model, names, [link for link in self.model.links if link.child in names])

    @cached_property
    def held_together(self) -> Model:
        """The model of these tables by the links that hold in an archive of activity: what is taken has its parent."""
        taken = set(self.tables) - set(self.ended)
        return _narrowed(self.model, set(self.tables), [link for link in self.inner if link.child in taken])

    @cached_property
    def inner(self) -> tuple[Link, ...]:
        """The links between tables of activity."""
        return tuple(
            link for link in self.model.links if {link.child, link.parent} <= {*self.tables} and not link.within
        )

    @cached_property
    def entries(self) -> tuple[Link, ...]:
        """The links by which activity is found from outside of it."""
        return tuple(link for link in self.reach.links if link.child in self.tables and link not in self.inner)

    def above(self, table: TableName) -> tuple[Link, ...]:
        """The links by which a table's rows lie below other activity."""
        return tuple(link for link in self.inner if link.child == table)

    def below(self, table: TableName) -> tuple[Link, ...]:
        """The links by which other activity lies below a table's rows."""
        return tuple(link for link in self.inner if link.parent == table)

    def takes(self, table: TableName) -> frozenset[TableName]:
        """The tables whose rows go with a table's."""
        return frozenset(TableName(self.database, name) for name in self.ended[table].takes)


def rules(model: Model) -> Rules:
    """The rules of a catalog; UsageError where it has none."""
    if not model.catalog.activity:
        raise UsageError(
            "The catalog of tables has no activity: nothing goes month by month.",
            hint="See `activity` in inventory/catalog.yaml.",
        )
    return Rules(model=model)


def mistakes(model: Model) -> Iterator[str]:
    """What is wrong with a catalog's rules, with paths."""
    found = Rules(model=model)
    carried = set(model.of(found.database))
    for table, rule in found.ended.items():
        path = f"activity/{table.table}"
        if table not in carried:
            yield f"{path}: expected a table of databases/{found.database}, got {table.table!r}"
        elif rule.where is not None and condition_of(rule) is None:
            yield f"{path}/where: expected `column = value`, got {rule.where!r}"
        else:
            yield from _takes(found, table, path)
    for table in found.tables:
        links = model.found_by(table)
        if len(links) != 1 or links[0].within:
            yield f"activity: expected tables that are found by one link, and {table.table} is found by {len(links)}"
    for need in model.external_links:
        if need.child in found.tables:
            yield f"activity: expected tables that nobody else needs, and {need.parent} needs {need.child.table}"


def condition_of(rule: Activity) -> Where | None:
    """The column and the value of a rule's condition; None where there is none, or it is not one."""
    column, equals, value = (rule.where or "").partition(" = ")
    return (column, value) if equals and column.isidentifier() and value else None


def _takes(found: Rules, table: TableName, path: str) -> Iterator[str]:
    """A row that goes leaves nothing below it behind."""
    below = _below(found, table)
    if below != found.takes(table):
        expected = ", ".join(sorted(name.table for name in below)) or "nothing"
        got = ", ".join(sorted(found.ended[table].takes)) or "nothing"
        yield f"{path}/takes: expected all that is found below it and has no rule of its own ({expected}), got {got}"


def _below(found: Rules, table: TableName) -> frozenset[TableName]:
    near = set(found.model.of(found.database)) - set(found.ended)
    children = {
        parent: [link.child for link in found.model.links if link.parent == parent and link.child in near]
        for parent in found.model.of(found.database)
    }
    return frozenset(reached(table, children))


def _narrowed(model: Model, tables: set[TableName], links: list[Link]) -> Model:
    return replace(
        model, tables=tuple(table for table in model.tables if table in tables), links=tuple(links), external_links=()
    )
