"""Problems of one database: everything in it that the catalog does not know, or that no catalog could allow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from archiver.catalog.model import MASTER, Model, TableName, listed
from archiver.completeness.depths import not_trees
from archiver.completeness.live import LiveCatalogue
from archiver.completeness.live_acts import unknown_acts
from archiver.completeness.live_publications import undeletable
from archiver.completeness.pointers import line, unexplained
from archiver.completeness.references import leaving
from archiver.postgres.below import Below
from errors import Problems


def refuse(problems: Iterable[str]) -> None:
    """Raise Problems if there are any."""
    if lines := tuple(dict.fromkeys(problems)):
        raise Problems(
            "The catalog does not know everything that can point at a tenant's rows; nothing is deleted:",
            lines,
            hint="inv archive.check-catalog shows the same.",
        )


def problems_of(model: Model, kind: str, live: LiveCatalogue) -> Iterator[str]:
    """Yield everything in one database that the catalog does not know, or that no catalog could allow."""
    yield from (line(model, live, pointer) for pointer in unexplained(model, kind, live))
    yield from leaving(model, kind, live)
    yield from not_trees(model, kind, live)
    yield from unknown_acts(model, kind, live.acts)
    yield from below_problems(model, kind, live.below)
    yield from undeletable(model, kind, live.unidentified)
    if kind == MASTER:
        yield from _not_unique(model, live)


def below_problems(model: Model, kind: str, relations: Iterable[Below]) -> Iterator[str]:
    """Yield what is read, deleted or truncated with a carried table or a feed, and is not the table's own."""
    feeds = model.catalog.feeds.get(kind, ())
    for below in relations:
        if TableName(kind, below.table) in model.tables or below.table in feeds:
            yield f"{kind}.{below.table}: {below}"


def _not_unique(model: Model, live: LiveCatalogue) -> Iterator[str]:
    """Yield a tenant's key that two tenants can share, and a column of it that may hold nothing."""
    table, key = model.root.table, model.tenant.key_columns
    shape = live.tables.get(table)
    if shape and shape.primary_key != key and (table, key) not in live.unique:
        yield (
            f"tenant/key: {model.root}.{listed(key)} is not unique, so that two tenants could be archived as one. "
            f"First run: ALTER TABLE {table} ADD UNIQUE ({', '.join(key)})"
        )
    for column in shape.columns if shape else ():
        if column.name in key and not column.not_null:
            yield (
                f"tenant/key: {model.root}.{column.name} may be NULL, so that no command could name such a "
                f"{model.tenant.noun}. First run: ALTER TABLE {table} ALTER COLUMN {column.name} SET NOT NULL"
            )
