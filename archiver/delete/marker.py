"""What a shard's deletion leaves beside its marker: all that master's half needs, also when another run does it."""

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
    """What went from the shard, what stays there, and the keys by which master's rows are found through it."""
    found, gone = decided.selection.by_table, decided.to_delete
    return {
        "found": {str(link): found[link.parent].values(link.parent_columns) for link in crossing(model)},
        "gone": {str(link): gone[link.parent].values(link.parent_columns) for link in crossing(model)},
        "deleted": {str(table): len(gone[table].rows) for table in model.of(SHARD)},
        "staying": [asdict(row) for row in decided.retained[SHARD]],
    }


def keys(placement: Placement, model: Model, noted: Mapping[str, list[Any]]) -> Values:
    """The keys of crossing links as a marker's JSON holds them, each again of its column's type."""
    links = {str(link): link for link in crossing(model)}
    return {links[name]: typed(placement, links[name], values) for name, values in noted.items()}


def staying(noted: Iterable[Mapping[str, str]]) -> list[RetainedRow]:
    """The rows that stayed in the shard."""
    return [RetainedRow(**row) for row in noted]


def crossing(model: Model) -> list[Link]:
    """The links by which rows of master are found through a shard."""
    return [link for link in model.links if link.child.database == MASTER and link.parent.database == SHARD]
