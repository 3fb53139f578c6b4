"""The draft of a catalog for a product that has none, from its databases' own catalogues. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches

from archiver.catalog.graph import reachable
from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName, listed, resolve
from archiver.catalog.naming import singular
from archiver.completeness.edges import Edge, edges
from archiver.completeness.live import LiveCatalogue
from archiver.completeness.pointers import Pointer, unexplained
from errors import UsageError
from inventory.catalog import DEFAULT_DEPTH, Catalog, DepthRule, Table, Tenant

Reasons = dict[str, dict[str, str]]  # master or shard, then table: why it stays live


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A drafted catalog, and the links behind it for a person to check."""

    catalog: Catalog
    edges: Mapping[TableName, Sequence[Edge]]  # by carried table: the edges by which its rows are found
    excluded_links: Mapping[TableName, Sequence[Link]]  # by excluded table: the links that would find its rows


def draft(lives: Mapping[str, LiveCatalogue], root: str) -> Draft:
    """Draft a catalog for the tenants listed in a table of master.

    It carries that table and every table from which edges lead to it, directly or through others. Raises UsageError if
    there is no such table, or if it cannot list tenants.
    """
    tenant, start = _tenant(lives, root), TableName(MASTER, root)
    all_edges = edges(lives)
    carried = _carried(start, all_edges)
    inside = [edge for edge in all_edges if edge.link.child in carried and edge.link.parent in carried]
    order = _order(start, carried, inside)
    found_by = _found_by(order, inside)
    links = _excluded_links(carried, all_edges)
    catalog = Catalog(
        tenant=tenant,
        databases=_databases(lives, found_by),
        depths={DEFAULT_DEPTH: DepthRule(start=root)},
    )
    return Draft(catalog=_explained(catalog, lives, links), edges=found_by, excluded_links=links)


def _tenant(lives: Mapping[str, LiveCatalogue], root: str) -> Tenant:
    tables = lives[MASTER].tables
    if root not in tables:
        near = get_close_matches(root, tables) or sorted(tables)[:5]
        raise UsageError(f"There is no table {root!r}.", hint=f"Similar: {', '.join(near)}." if near else "")
    table = tables[root]
    if not table.primary_key:
        raise UsageError(f"Table {root} cannot list tenants: it has no primary key.")
    key = table.primary_key[0] if len(table.primary_key) == 1 else table.primary_key
    names = [column.name for column in table.columns]
    shard = next((name for name in names if "shard" in name), None)
    if SHARD in lives and shard is None:
        raise UsageError(
            f"Table {root} has no column with `shard` in its name, to say which shard holds a tenant's activity."
        )
    return Tenant(
        noun=singular(root),
        table=root,
        key=key,
        title=next((name for name in ("name", "title") if name in names), table.primary_key[-1]),
        shard=shard if SHARD in lives else None,
    )


def _carried(root: TableName, all_edges: Iterable[Edge]) -> list[TableName]:
    """Return the root and every table from which edges lead to it."""
    named_by: dict[TableName, set[TableName]] = {}
    for edge in all_edges:
        named_by.setdefault(edge.link.parent, set()).add(edge.link.child)
    return [root, *sorted(reachable(root, named_by) - {root})]


def _order(root: TableName, carried: Sequence[TableName], inside: Iterable[Edge]) -> list[TableName]:
    """Return the carried tables in an order: each names an earlier one, and outside cycles only earlier ones."""
    named: dict[TableName, dict[TableName, bool]] = {table: {} for table in carried}  # True if every edge yields
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
    """Return a table that waits for no other, or the easiest to turn in a cycle that waits for nothing outside it."""
    for table, ahead in waiting.items():
        if not ahead:
            return table
    beyond = {table: reachable(table, waiting) for table in waiting}
    cycle = [table for table in waiting if all(table in beyond[other] for other in beyond[table])]
    rooted = [table for table in cycle if named[table].keys() - waiting.keys()]
    return min(
        rooted, key=lambda table: (sum(not named[table][other] for other in waiting[table]), len(waiting[table]))
    )


def _found_by(order: Sequence[TableName], inside: Sequence[Edge]) -> dict[TableName, list[Edge]]:
    """Return, by table, the edges by which its rows are found. Edges against the order are turned round."""
    position = {table: number for number, table in enumerate(order)}
    below = [edge for edge in inside if edge.link.recursive and edge.link.child != order[0]]
    along = [edge for edge in inside if position[edge.link.child] > position[edge.link.parent]]
    against = [
        edge for edge in inside if position[edge.link.child] < position[edge.link.parent] and not edge.link.where
    ]
    turned = [replace(edge, link=edge.link.reversed) for edge in against]
    return {table: [edge for edge in (*along, *turned, *below) if edge.link.child == table] for table in order}


def _databases(
    lives: Mapping[str, LiveCatalogue], found_by: Mapping[TableName, Sequence[Edge]]
) -> dict[str, dict[str, Table]]:
    groups = _groups(found_by)
    return {
        kind: {
            table.table: Table(group=groups[table], found_by=tuple(edge.link.text for edge in table_edges))
            for table, table_edges in found_by.items()
            if table.database == kind
        }
        for kind in lives
    }


def _groups(found_by: Mapping[TableName, Sequence[Edge]]) -> dict[TableName, str]:
    """Return each table's group: the table just below the root through which it is found, or the root itself."""
    root, *rest = found_by
    parents = {table: next(edge.link.parent for edge in found_by[table] if not edge.link.recursive) for table in rest}
    groups = {root: singular(root.table)}
    for table, parent in parents.items():
        if parent != root:
            groups[table] = groups[parent]
        else:
            groups[table] = singular(table.table) if table in parents.values() else groups[root]
    return groups


def _excluded_links(carried: Sequence[TableName], all_edges: Iterable[Edge]) -> dict[TableName, list[Link]]:
    """Return, by table that carried tables name but that is not carried, the links that would find its rows."""
    links: dict[TableName, list[Link]] = {}
    for edge in all_edges:
        if edge.link.child in carried and edge.link.parent not in carried and not edge.link.where:
            links.setdefault(edge.link.parent, []).append(edge.link.reversed)
    return dict(sorted(links.items()))


def _explained(
    catalog: Catalog, lives: Mapping[str, LiveCatalogue], excluded_links: Mapping[TableName, Sequence[Link]]
) -> Catalog:
    """Return the catalog with a reason for everything that could point at a tenant's rows and is not followed."""
    excluded: Reasons = {kind: {} for kind in lives}
    databases = {kind: dict(tables) for kind, tables in catalog.databases.items()}
    for table, links in excluded_links.items():
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
            if name in databases[kind] and not _mentions(databases[kind][name], f"{column} = {value}"):
                databases[kind][name] = _ignoring(databases[kind][name], column, value, "not of a carried table")
    return replace(catalog, databases=databases, excluded={kind: tables for kind, tables in excluded.items() if tables})


def _reason(pointer: Pointer, model: Model) -> str:
    if not pointer.columns:
        return f"a materialized view with rows of {pointer.points_at.table}; refresh it after each archive"
    if pointer.value is not None:
        return f"no link leads from it to {pointer.points_at.table}"
    if pointer.table == pointer.points_at == model.root:
        return f"each {model.tenant.noun} is a tenant of its own"
    return f"{listed(pointer.columns)} looks like a key of {pointer.points_at.table}; no foreign key says so"


def _types(live: LiveCatalogue) -> Iterator[tuple[str, str, str]]:
    """Yield each table, type column and value of a polymorphic pair."""
    for (name, column), values in live.types.items():
        yield from ((name, column, value) for value in values)


def _mentions(table: Table, type_is: str) -> bool:
    return type_is in table.ignored or any(link.endswith(f" where {type_is}") for link in table.found_by)


def _ignoring(table: Table, column: str, value: str | None, reason: str) -> Table:
    return replace(table, ignored={**table.ignored, column if value is None else f"{column} = {value}": reason})
