"""Foreign keys to carried tables: which ones the catalog follows, and what the others do when rows are deleted."""

from __future__ import annotations

from collections.abc import Iterator

from archiver.catalog.model import Link, Model, TableName
from archiver.completeness.live import LiveCatalogue, LiveForeignKey

ACTS = {"c": "deletes", "n": "sets to NULL", "d": "sets to its default"}  # a foreign key's own action


def in_catalog(model: Model, kind: str, key: LiveForeignKey) -> bool:
    """True if a found_by or needed_by link joins exactly the foreign key's columns, written from either side.

    A link with a condition follows only some of the rows that the foreign key joins.
    """
    return any(link.where is None for link in _links(model, kind, key))


def leaving(model: Model, kind: str, live: LiveCatalogue) -> Iterator[str]:
    """Yield foreign keys by which a deletion would change rows that are in no archive, or be forbidden by them."""
    for key in live.references:
        child, target = TableName(kind, key.table), TableName(kind, key.target)
        if target not in model.tables:
            continue
        if child not in model.tables or not in_catalog(model, kind, key):
            yield from _not_followed(model, kind, key)
        elif key.on_delete in ACTS:
            yield from _leaving_a_depth(model, child, target, key)


def _not_followed(model: Model, kind: str, key: LiveForeignKey) -> Iterator[str]:
    carried = TableName(kind, key.table) in model.tables
    if key.on_delete in ACTS:
        yield (
            f"{kind}.{key.table}: the foreign key {key.name} {ACTS[key.on_delete]} rows there when rows of "
            f"{key.target} are deleted{_condition(model, kind, key)}. "
            f"{'Add found_by' if carried else 'Carry the table'}, or make the key NO ACTION"
        )
    elif not carried and not in_catalog(model, kind, key):
        yield (
            f"{kind}.{key.table}: the foreign key {key.name} forbids deleting rows of {key.target} "
            f"that it references{_condition(model, kind, key)}. "
            f"Add to databases/{kind}/{key.target}: needed_by, or carry the table"
        )


def _leaving_a_depth(model: Model, child: TableName, target: TableName, key: LiveForeignKey) -> Iterator[str]:
    """Yield the depths that keep the child's rows live while the foreign key deletes or changes them."""
    for depth in model.catalog.depths:
        below = model.below(depth)
        if target in below and child not in below:
            yield (
                f"depths/{depth}: rows of {child} stay live, but the foreign key {key.name} "
                f"{ACTS[key.on_delete]} rows there when rows of {key.target} are deleted. Make the key NO ACTION"
            )


def _condition(model: Model, kind: str, key: LiveForeignKey) -> str:
    """Return the conditions under which the catalog follows the key."""
    conditions = [f"{link.where[0]} = {link.where[1]}" for link in _links(model, kind, key) if link.where]
    return f", also where {' and '.join(conditions)} does not hold" if conditions else ""


def _links(model: Model, kind: str, key: LiveForeignKey) -> Iterator[Link]:
    """Yield the links that join exactly the foreign key's columns."""
    table, target = TableName(kind, key.table), TableName(kind, key.target)
    forward = {*zip(key.columns, key.target_columns, strict=True)}
    backward = {*zip(key.target_columns, key.columns, strict=True)}
    for link in (*model.links, *model.external_links):
        if (link.child, link.parent, _pairs(link)) in ((table, target, forward), (target, table, backward)):
            yield link


def _pairs(link: Link) -> set[tuple[str, str]]:
    return {*zip(link.columns, link.parent_columns, strict=True)}
