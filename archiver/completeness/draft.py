"""A first catalog of tables for a product that has none, from what its databases say of themselves; pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from archiver.catalog.graph import reachable
from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName, listed, resolve
from archiver.catalog.naming import singular
from archiver.completeness.completeness import Pointer, unexplained
from archiver.completeness.edges import Edge, edges
from archiver.completeness.live import LiveCatalogue
from errors import UsageError
from inventory.catalog import Catalog, DepthRule, Table, Tenant
from inventory.model import Depth

WHOLE_NUMBERS = ("smallint", "integer", "bigint")
Reasons = dict[str, dict[str, str]]  # master or shard, then table: why it stays live


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A catalog, and what a person should know of it."""

    catalog: Catalog
    found: Mapping[TableName, Sequence[Edge]]  # by which the carried tables' rows are found
    ways: Mapping[TableName, Sequence[Link]]  # by which rows of excluded tables would be found


def draft(lives: Mapping[str, LiveCatalogue], root: str) -> Draft:
    """Drafts a catalog for the tenants that a table of master lists.

    Carried are that table and all from which edges lead to it, over any number of others. UsageError where there is no
    such table, or where it can not list tenants.
    """
    tenant, start = _tenant(lives, root), TableName(MASTER, root)
    every = edges(lives)
    carried = _carried(start, every)
    inside = [edge for edge in every if edge.link.child in carried and edge.link.parent in carried]
    order = _order(start, carried, inside)
    found = _found(order, inside)
    ways = _ways(carried, every)
    catalog = Catalog(
        tenant=tenant,
        databases=_databases(lives, found),
        depths={Depth.ALL.value: DepthRule(start=root)},
    )
    return Draft(catalog=_explained(catalog, lives, ways), found=found, ways=ways)


def _tenant(lives: Mapping[str, LiveCatalogue], root: str) -> Tenant:
    tables = lives[MASTER].tables
    if root not in tables:
        near = get_close_matches(root, tables) or sorted(tables)[:5]
        raise UsageError(f"There is no table {root!r}.", hint=f"Near it: {', '.join(near)}." if near else "")
    table = tables[root]
    if len(table.primary_key) != 1 or table.type_of(table.primary_key[0]) not in WHOLE_NUMBERS:
        raise UsageError(f"Table {root} can not list tenants: its key is not one column of whole numbers.")
    [key] = table.primary_key
    names = [column.name for column in table.columns]
    shard = next((name for name in names if "shard" in name), None)
    if SHARD in lives and shard is None:
        raise UsageError(f"Table {root} has no column with `shard` in its name, to say where a tenant's activity lies.")
    return Tenant(
        noun=singular(root),
        table=root,
        key=key,
        title=next((name for name in ("name", "title") if name in names), key),
        shard=shard if SHARD in lives else None,
    )


def _carried(root: TableName, every: Iterable[Edge]) -> list[TableName]:
    """The root, and all from which edges lead to it."""
    named_by: dict[TableName, set[TableName]] = {}
    for edge in every:
        named_by.setdefault(edge.link.parent, set()).add(edge.link.child)
    return [root, *sorted(reachable(root, named_by) - {root})]


def _order(root: TableName, carried: Sequence[TableName], inside: Iterable[Edge]) -> list[TableName]:
    """Carried tables so that each names one that stands before it, and all it names where they are on no cycle."""
    named: dict[TableName, dict[TableName, bool]] = {table: {} for table in carried}  # and whether every edge yields
    for edge in inside:
        child, parent = edge.link.child, edge.link.parent
        if child not in (root, parent):
            named[child][parent] = named[child].get(parent, True) and edge.yields
    order = [root]
    while waiting := {table: named[table].keys() - set(order) for table in carried if table not in order}:
        order.append(_next(waiting, named))
    return order


def _next(
    waiting: Mapping[TableName, set[TableName]], named: Mapping[TableName, Mapping[TableName, bool]]
) -> TableName:
    """A table that waits for no other; else, of a cycle that waits for nothing outside, the one easiest to turn."""
    for table, ahead in waiting.items():
        if not ahead:
            return table
    beyond = {table: reachable(table, waiting) for table in waiting}
    cycle = [table for table in waiting if all(table in beyond[other] for other in beyond[table])]
    rooted = [table for table in cycle if named[table].keys() - waiting.keys()]
    return min(
        rooted, key=lambda table: (sum(not named[table][other] for other in waiting[table]), len(waiting[table]))
    )


def _found(order: Sequence[TableName], inside: Sequence[Edge]) -> dict[TableName, list[Edge]]:
    """By which edges each table's rows are found; those that lead against the order are turned round."""
    place = {table: number for number, table in enumerate(order)}
    below = [edge for edge in inside if edge.link.recursive and edge.link.child != order[0]]
    along = [edge for edge in inside if place[edge.link.child] > place[edge.link.parent]]
    against = [edge for edge in inside if place[edge.link.child] < place[edge.link.parent] and not edge.link.where]
    turned = [replace(edge, link=edge.link.reversed) for edge in against]
    return {table: [edge for edge in (*along, *turned, *below) if edge.link.child == table] for table in order}


def _databases(
    lives: Mapping[str, LiveCatalogue], found: Mapping[TableName, Sequence[Edge]]
) -> dict[str, dict[str, Table]]:
    groups = _groups(found)
    return {
        kind: {
            table.table: Table(group=groups[table], found_by=tuple(edge.link.text for edge in by))
            for table, by in found.items()
            if table.database == kind
        }
        for kind in lives
    }


def _groups(found: Mapping[TableName, Sequence[Edge]]) -> dict[TableName, str]:
    """What a table is counted with: the table just below the root through which it is found, or the root itself."""
    root, *rest = found
    parents = {table: next(edge.link.parent for edge in found[table] if not edge.link.recursive) for table in rest}
    groups = {root: singular(root.table)}
    for table, parent in parents.items():
        if parent != root:
            groups[table] = groups[parent]
        else:
            groups[table] = singular(table.table) if table in parents.values() else groups[root]
    return groups


def _ways(carried: Sequence[TableName], every: Iterable[Edge]) -> dict[TableName, list[Link]]:
    """The tables that carried ones name and that lead to no root, and how their rows would be found."""
    ways: dict[TableName, list[Link]] = {}
    for edge in every:
        if edge.link.child in carried and edge.link.parent not in carried and not edge.link.where:
            ways.setdefault(edge.link.parent, []).append(edge.link.reversed)
    return dict(sorted(ways.items()))


def _explained(
    catalog: Catalog, lives: Mapping[str, LiveCatalogue], ways: Mapping[TableName, Sequence[Link]]
) -> Catalog:
    """The catalog with a reason for all that could point at a tenant's rows and is not followed."""
    excluded: Reasons = {kind: {} for kind in lives}
    databases = {kind: dict(tables) for kind, tables in catalog.databases.items()}
    for table, links in ways.items():
        namers = dict.fromkeys(link.parent.table for link in links)
        excluded[table.database][table.table] = f"named by {', '.join(namers)}; may be other tenants' too"
    model = resolve(catalog)
    for kind, live in lives.items():
        for pointer in unexplained(model, kind, live):
            name, reason = pointer.table.table, _reason(pointer, model)
            if name in databases[kind]:
                databases[kind][name] = _ignoring(databases[kind][name], pointer.columns[0], pointer.value, reason)
            else:
                excluded[kind].setdefault(name, reason)
        for name, column, value in _types(live):
            if name in databases[kind] and not _known(databases[kind][name], f"{column} = {value}"):
                databases[kind][name] = _ignoring(databases[kind][name], column, value, "not of a carried table")
    return replace(catalog, databases=databases, excluded={kind: tables for kind, tables in excluded.items() if tables})


def _reason(pointer: Pointer, model: Model) -> str:
    if pointer.value is not None:
        return f"no link leads from it to {pointer.points_at.table}"
    if pointer.table == pointer.points_at == model.root:
        return f"each {model.tenant.noun} is a tenant of its own"
    return f"{listed(pointer.columns)} looks like a key of {pointer.points_at.table}; no foreign key says so"


def _types(live: LiveCatalogue) -> Iterator[tuple[str, str, str]]:
    """Each table, type column and value of a polymorphic pair."""
    for (name, column), values in live.types.items():
        yield from ((name, column, value) for value in values)


def _known(table: Table, type_is: str) -> bool:
    return type_is in table.ignored or any(link.endswith(f" where {type_is}") for link in table.found_by)


def _ignoring(table: Table, column: str, value: str | None, reason: str) -> Table:
    return replace(table, ignored={**table.ignored, column if value is None else f"{column} = {value}": reason})
