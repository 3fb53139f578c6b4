"""Decide what the ledger is to say of a move's archive that no record names, by the markers on both shards."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.postgres import tenants
from archiver.postgres.own_schema import ready
from archiver.records import archives, claims, move_record
from archiver.records.adoption import MoveAdoption
from archiver.records.claims import ArchiveClaim
from archiver.records.markers import MOVED_IN, MOVED_OUT
from archiver.records.move_record import Route, offsets_of
from archiver.records.state import Kind, State
from archiver.runs.adoptable import LATER, UNCHANGED
from archiver.runs.adopter import Adopter
from archiver.store.bucket import StoredDigests, StoredObject
from errors import DamagedError, RefusedError
from inventory.keys import key_of_json


def move_adoption(adopter: Adopter, archive: Archive, stored: StoredObject, digests: StoredDigests) -> MoveAdoption:
    """Return what the ledger is to say of a move: a run of the same command then ends it, if it has not ended.

    Raise RefusedError if it can't say, DamagedError if archive and markers contradict each other.
    """
    marked = adopter.moves(stored.location)
    content = claims.content(adopter.databases.session(marked[0].shard), marked[0])
    if "offsets" not in content:
        raise RefusedError(
            f"{stored.location} is of a move, and its markers do not say the new ids: an older version wrote them. "
            f"{UNCHANGED}",
            hint="Restore master from a later backup.",
        )
    route = Route(verb=content["verb"], source=content["source"], target=content["target"])
    shards = {each.act: each.shard for each in marked}
    _refuse_lie(archive, stored, content, shards)
    _refuse_taken(adopter, stored, marked[0])
    state = _state(adopter, archive, stored, route, content["turn"], ended=MOVED_OUT in shards)
    is_switched = state is not State.LOADING
    return MoveAdoption(
        manifest=archive.manifest,
        location=stored.location,
        digests=digests,
        id=marked[0].id,
        started_at=marked[0].started_at,
        route=route,
        offsets=offsets_of(content["offsets"]),
        switched_at=marked[0].at if is_switched else None,
        turn=content["turn"] if is_switched else None,
        state=state,
    )


def _refuse_lie(archive: Archive, stored: StoredObject, content: Mapping[str, Any], shards: Mapping[str, str]) -> None:
    """Raise DamagedError unless manifest and markers are of the same tenant and shards."""
    manifest, expected = archive.manifest, {MOVED_IN: content["target"], MOVED_OUT: content["source"]}
    said = (manifest.tenant_id, manifest.shard), {**expected, **shards}
    if said != ((key_of_json(content["tenant"]), content["source"]), expected):
        raise DamagedError(
            f"{stored.location}, {layout.MANIFEST}: it is of {manifest.noun} {manifest.tenant_id} on {manifest.shard}, "
            f"and {', '.join(sorted(shards.values()))} shows a move of {content['tenant']} from {content['source']} to "
            f"{content['target']}. {UNCHANGED}",
            hint="Was the object swapped, or are two shards of the inventory exchanged?",
        )


def _refuse_taken(adopter: Adopter, stored: StoredObject, claim: ArchiveClaim) -> None:
    """Raise RefusedError if another move has the number, or this one is further than planned."""
    master = adopter.databases.master
    for record in archives.of_kind(master, Kind.MOVE, "id = %s", (claim.id,)) if ready(master) else ():
        if (record.started_at, record.state) != (claim.started_at, State.PLANNED):
            raise RefusedError(
                f"{stored.location} was moved by record {claim.id}, which is that of {adopter.named(record.location)} "
                f"now. {UNCHANGED}",
                hint=LATER,
            )


def _state(adopter: Adopter, archive: Archive, stored: StoredObject, route: Route, turn: int, *, ended: bool) -> State:
    """Return how far a move has come: as its markers say, and the shard that master names for the tenant now."""
    manifest, databases = archive.manifest, adopter.databases
    live = tenants.tenant(databases.master, databases.model.tenant, manifest.tenant_id)
    if ended and (live is None or live.shard == route.target or _moved_later(adopter, archive, stored, turn)):
        return State.MOVED
    if live and live.shard == route.target:
        return State.SWITCHED
    if live and live.shard == route.source:
        return State.LOADING
    shard = live.shard if live else "no shard"
    raise RefusedError(
        f"{stored.location} is of a move from {route.source} to {route.target}, and master names {shard} for "
        f"{manifest.noun} {manifest.tenant_id}. {UNCHANGED}",
        hint=LATER,
    )


def _moved_later(adopter: Adopter, archive: Archive, stored: StoredObject, turn: int) -> bool:
    """True if the tenant was moved again, by a move that master or a marker knows."""
    tenant_id, of_tenant = archive.manifest.tenant_id, adopter.moves_of_same_tenant(stored)
    recorded = (each.turn or 0 for each in move_record.done(adopter.databases.master) if each.tenant_id == tenant_id)
    return max([*recorded, *(each.turn or 0 for each in of_tenant)], default=0) > turn
