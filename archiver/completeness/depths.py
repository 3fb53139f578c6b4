"""A depth is a tree: no row that stays refers to a row that goes; live keys show which one refers. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from archiver.catalog.model import Link, Model, listed
from archiver.completeness.live import LiveCatalogue


def not_trees(model: Model, kind: str, live: LiveCatalogue) -> Iterator[str]:
    """Yield the depths that keep rows of this database live although they refer to rows that go.

    A link leads from a row to those found by it, and says not which of the two refers to the other: `id =
    memberships.user_id` finds users, and memberships refer to users: users may stay where memberships go.
    """
    for name, rule in model.catalog.depths.items():
        below = model.below(name)
        for link in model.links:
            parts = link.child not in below and link.parent in below
            if parts and link.child.database == kind and not _is_key(live, link):
                yield (
                    f"depths/{name}/stay: expected a tree, but rows of {link.child} stay and refer by "
                    f"{listed(link.columns)} to rows of {link.parent}, which go (start: {rule.start}). "
                    f"Let {link.child.table} go, or let {link.parent.table} stay"
                )


def _is_key(live: LiveCatalogue, link: Link) -> bool:
    """True if the child's columns are a key of it, so that the parent's rows refer to the child's."""
    table = live.tables.get(link.child.table)
    key = table is not None and table.primary_key == link.columns
    return key or (link.child.table, link.columns) in live.unique
