"""Deletions that stand between shard and master: what their shards named still needs master's rows."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from archiver.catalog.model import MASTER, Link
from archiver.postgres.databases import Placement
from archiver.postgres.selection import Key, array
from archiver.postgres.session import SQL
from archiver.records.archive_record import ArchiveState


def referenced_by_interrupted(placement: Placement, link: Link, own: Collection[int]) -> set[Key]:
    """The keys of a link to a shard by which other tenants find rows of master whose shard was emptied already.

    Until such a deletion has ended, or was undone, they are as good as live. `own` are the records at hand.
    """
    query = "SELECT id FROM archiver.records WHERE state = %s AND id <> ALL(%s)"
    rows = placement.master.rows(
        query, (ArchiveState.DELETING.value, list(own)), doing="looking for deletions that were cut off"
    )
    named: set[Key] = set()
    for session in (
        (*((placement.shard_session,) if placement.shard_session else ()), *placement.other_shards) if rows else ()
    ):
        noted = session.rows(_FOUND, (str(link), [row[0] for row in rows]), doing="reading the markers")
        for (values,) in noted:
            named.update(typed(placement, link, values or []))
    return named


_FOUND = "SELECT content -> 'found' -> %s FROM archiver.markers WHERE act = 'deleted' AND record_id = ANY(%s)"


def typed(placement: Placement, link: Link, values: list[Any]) -> list[Key]:
    """Values of a marker's JSON, each again of its column's type."""
    shape = placement.schemas[MASTER].tables[link.child.table]
    listed = [value if isinstance(value, list) else [value] for value in values]
    arrays = SQL(", ").join(
        array(shape, column, [value[place] for value in listed]) for place, column in enumerate(link.columns)
    )
    rows = placement.master.keys(SQL("SELECT * FROM unnest({})").format(arrays), doing="reading the marker")
    return [row if len(row) > 1 else row[0] for row in rows]
