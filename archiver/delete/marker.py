"""The content of a shard's deletion marker: all that the deletion in master needs, even in a later run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from archiver.catalog.model import MASTER, SHARD, Link, Model
from archiver.delete.decide import DeletionDecision
from archiver.delete.interrupted import typed
from archiver.postgres.databases import Placement
from archiver.postgres.selection import Values
from archiver.records.retained_rows import RetainedRow


def content(model: Model, decided: DeletionDecision) -> dict[str, Any]:
    """Return what was deleted in the shard, what stays there, and the keys by which rows of master are found."""
    selected, to_delete = decided.selection.by_table, decided.to_delete
    return {
        "found": {str(link): selected[link.parent].values(link.parent_columns) for link in crossing(model)},
        "gone": {str(link): to_delete[link.parent].values(link.parent_columns) for link in crossing(model)},
        "deleted": {str(table): len(to_delete[table].rows) for table in model.of(SHARD)},
        "staying": [asdict(row) for row in decided.retained[SHARD]],
    }


def keys(placement: Placement, model: Model, values_by_link: Mapping[str, list[Any]]) -> Values:
    """Convert a marker's keys of crossing links back to the types of their columns."""
    links = {str(link): link for link in crossing(model)}
    return {links[name]: typed(placement, links[name], values) for name, values in values_by_link.items()}


def staying(rows: Iterable[Mapping[str, str]]) -> list[RetainedRow]:
    """Return the rows that stayed in the shard."""
    return [RetainedRow(**row) for row in rows]


def crossing(model: Model) -> list[Link]:
    """Return the links by which rows of master are found through a shard."""
    return [link for link in model.links if link.child.database == MASTER and link.parent.database == SHARD]
