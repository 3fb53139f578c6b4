"""Interrupted deletions, committed in the shard but not in master: the shard's deleted rows still need master's."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from archiver.catalog.model import MASTER, Link
from archiver.postgres.databases import Placement
from archiver.postgres.selection import Key, array
from archiver.postgres.session import SQL
from archiver.records.state import State


def referenced_by_interrupted(placement: Placement, link: Link, own: Collection[int]) -> set[Key]:
    """Return a link's keys by which other tenants find rows of master although their shard's rows are deleted already.

    Until such a deletion ends or is undone, they count as live. `own` are the record ids to leave out.
    """
    query = "SELECT id FROM archiver.archives WHERE kind = 'tenant' AND state = %s"
    rows = placement.master.rows(query, (State.DELETING.value,), doing="finding interrupted deletions")
    others = sorted({row[0] for row in rows}.difference(own))
    shards = [*([placement.shard_session] if placement.shard_session else []), *placement.other_shards]
    named: set[Key] = set()
    for session in shards if others else ():
        markers = session.rows(_FOUND, (str(link), others), doing="reading the markers")
        for (values,) in markers:
            named.update(typed(placement, link, values or []))
    return named


_FOUND = "SELECT content -> 'found' -> %s FROM archiver.markers WHERE act = 'deleted' AND record_id = ANY(%s)"


def typed(placement: Placement, link: Link, values: list[Any]) -> list[Key]:
    """Convert values of a marker's JSON back to the types of the link's columns."""
    shape = placement.schemas[MASTER].tables[link.child.table]
    listed = [value if isinstance(value, list) else [value] for value in values]
    arrays = SQL(", ").join(
        array(shape, column, [value[position] for value in listed]) for position, column in enumerate(link.columns)
    )
    rows = placement.master.keys(SQL("SELECT * FROM unnest({})").format(arrays), doing="reading the marker")
    return [row if len(row) > 1 else row[0] for row in rows]
