"""Decide what the ledger is to say of a tenant's archive that no record names, by the live databases and markers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import Any

from archiver.catalog.model import MASTER, SHARD, Model, TableName
from archiver.format import encryption
from archiver.format.bundle import Archive
from archiver.postgres import tenants
from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.records import archive_record, claims, id_index, move_record
from archiver.records.adoption import REPLACEABLE, UNKNOWN_KEYS, Adoption, Repointing
from archiver.records.archive_record import Record
from archiver.records.claims import ArchiveClaim
from archiver.records.state import Kind, State
from archiver.runs.adopter import Adopter
from archiver.runs.archived_rows import ArchivedRows, archived_rows
from archiver.store.bucket import StoredDigests, StoredObject
from errors import RefusedError

UNCHANGED = "Nothing was changed."
LATER = "Restore master from a later backup, or load the archive as its README explains."


def adoption_of(
    adopter: Adopter, archive: Archive, stored: StoredObject, digests: StoredDigests
) -> Adoption | Repointing | str:
    """Return what the ledger is to say of an archive, or why it needs no record; raise RefusedError if it can't say."""
    manifest, claim = archive.manifest, adopter.open_claim(stored.location)
    if repointing := _repointing(adopter, archive, stored, digests, claim):
        return repointing
    if reason := _recorded(adopter, archive, stored, claim):
        return reason
    if claim and claim.shard != manifest.shard:
        raise RefusedError(
            f"{stored.location} is from {manifest.shard}, and {claim.shard} shows the deletion. {UNCHANGED}",
            hint="Are two shards of the inventory exchanged? inv archive.list shows others of both.",
        )
    placement = adopter.databases.placement(manifest.shard)
    rows = archived_rows(placement, adopter.databases.model, archive)
    marker = claims.content(placement.sessions[SHARD], claim) if claim else {}
    if claim:
        depth, state = _marked(adopter, archive, stored, marker, rows)
    else:
        depth = _unmarked(adopter, stored, rows)
        state = State.ARCHIVED
        if not depth:
            return "its rows are live"
        refuse_rivals(adopter, stored)
    turn = _turn(adopter, archive, stored, claim)
    deleted_from, ids = adopter.databases.model.below(depth), id_index.ids_in(archive)
    live = {table.table: set(each.identities()) for table, each in rows.live.items() if table.database == MASTER}
    return Adoption(
        manifest=manifest,
        location=stored.location,
        digests=digests,
        id=claim.id if claim else None,
        started_at=claim.started_at if claim else extracted_at(stored),
        archived_at=claim.at if claim and state is State.ARCHIVED else None,
        depth=depth,
        night=marker.get("night"),
        turn=turn,
        state=state,
        live=rows.counts_by_table(deleted_from) if state is State.ARCHIVED else {},
        retained=[each for database in placement.sessions for each in rows.retained(database)],
        ids=ids,
        deleted={name: [each for each in of_table if each not in live.get(name, ())] for name, of_table in ids.items()},
    )


def _turn(adopter: Adopter, archive: Archive, stored: StoredObject, claim: ArchiveClaim | None) -> int | None:
    """Return the archive's place among moves; None if it needs none. Raise RefusedError if its tenant was moved."""
    turn, tenant_id = claim.turn if claim else None, archive.manifest.tenant_id
    if turn is None:
        recorded = (each for each in move_record.done(adopter.databases.master) if each.tenant_id == tenant_id)
        if any(recorded) or adopter.moves_of_same_tenant(stored):
            raise RefusedError(
                f"{stored.location}: nothing says if it was archived before its tenant was moved to another shard: an "
                f"older version wrote the marker. {UNCHANGED}",
                hint=LATER,
            )
    return turn


def _records(adopter: Adopter, archive: Archive) -> list[Record]:
    """Return the record of the same tenant and year, if it is of a deletion."""
    manifest, master = archive.manifest, adopter.databases.master
    records = archive_record.read_if_any(master, manifest.year, tenant_id=manifest.tenant_id)
    return [each for each in records if each.state not in REPLACEABLE]


def _repointing(
    adopter: Adopter, archive: Archive, stored: StoredObject, digests: StoredDigests, claim: ArchiveClaim | None
) -> Repointing | None:
    """Return the tenant's record of that year with this object, if its own is gone; None if it has one, or none is.

    Raise RefusedError if this object has other rows.
    """
    for record in _records(adopter, archive):
        if adopter.has(record.location) or (claim and not _is_of(claim, record)):
            return None
        if (record.state, record.members) == (State.ARCHIVED, archive.manifest.members):
            keys = tuple(UNKNOWN_KEYS) if encryption.is_encrypted(stored.location) else ()
            return Repointing(
                kind=Kind.TENANT, record=replace(record, location=stored.location, recipients=keys, **asdict(digests))
            )
        raise RefusedError(
            f"{stored.location} has other rows than record {record.id} of the same tenant and year says, whose object "
            f"is not in the store: {record.location}. {UNCHANGED}",
            hint="Look for an older version of that object in the store.",
        )
    return None


def _is_of(claim: ArchiveClaim, record: Record) -> bool:
    """True if the marker is of that record: an id alone is given out twice by a master that was set back."""
    return (claim.id, claim.started_at) == (record.id, record.started_at)


def _recorded(adopter: Adopter, archive: Archive, stored: StoredObject, claim: ArchiveClaim | None) -> str:
    """Return why another archive has the rows; empty if none does. Raise RefusedError if two may."""
    master, records = adopter.databases.master, _records(adopter, archive)
    others = [each.location for each in records]
    claimed = [each.location for each in adopter.rivals(stored) if adopter.open_claim(each.location)]
    if claim is None or any(_is_of(claim, each) for each in records):
        return f"{(others + claimed)[0]} holds them" if others + claimed else ""
    if others + claimed:
        raise _two(stored, (others + claimed)[0], "a marker names it, and a record or a marker names the other")
    taken = [each for each in _of_id(master, claim.id) if each.state not in REPLACEABLE]
    if taken:
        raise RefusedError(
            f"{stored.location} was archived by record {claim.id}, which is that of {adopter.named(taken[0].location)} "
            f"now. {UNCHANGED}",
            hint=LATER,
        )
    return ""


def _of_id(master: Session, number: int) -> tuple[Record, ...]:
    """Return the record of that id, if there is one; a lost ledger may have no tables."""
    return archive_record.of_ids(master, [number]) if ready(master) else ()


def refuse_rivals(adopter: Adopter, stored: StoredObject) -> None:
    """Raise RefusedError if the store has two archives of a tenant and year, and nothing says which has the rows."""
    for other in adopter.rivals(stored):
        raise _two(stored, other.location, "no marker names either")


def _two(stored: StoredObject, other: str, why: str) -> RefusedError:
    return RefusedError(
        f"{stored.location} and {other} are of the same tenant and year: {why}. {UNCHANGED}",
        hint="Compare both with the live rows; move the one that holds none of them alone away, and run again.",
    )


def _marked(
    adopter: Adopter, archive: Archive, stored: StoredObject, marker: Mapping[str, Any], rows: ArchivedRows
) -> tuple[str, State]:
    """Return depth and state of an archive whose rows a shard deleted; raise RefusedError if some are live."""
    model, manifest = adopter.databases.model, archive.manifest
    depth = marker.get("depth") or _whole_depth(model)
    if depth not in model.catalog.depths:
        raise _unknown_depth(stored)
    staying = Counter(row["table"] for row in marker["staying"])
    for table in model.below(depth):
        if table.database == SHARD and rows.counts(frozenset({table}))[0] > staying[str(table)]:
            raise partly_live(stored, f"rows of {table}, whose deletion {manifest.shard} shows")
    live, archived = rows.counts(frozenset({model.start(depth)}))
    if 0 < live < archived:
        raise partly_live(stored, f"{live} of {archived} rows of {model.start(depth)}")
    if not live:
        return depth, State.ARCHIVED
    _refuse_other_shard(adopter, archive, stored)
    live, archived = rows.counts(frozenset(table for table in model.below(depth) if rows.has_key_in(MASTER, table)))
    if live < archived:
        raise partly_live(stored, f"{live} of {archived} rows of master, whose backup may be older than the others")
    return depth, State.DELETING


def _refuse_other_shard(adopter: Adopter, archive: Archive, stored: StoredObject) -> None:
    manifest, databases = archive.manifest, adopter.databases
    live = tenants.tenant(databases.master, databases.model.tenant, manifest.tenant_id)
    if live is None or live.shard != manifest.shard:
        shard = live.shard if live else "none"
        raise partly_live(stored, f"master's rows, with the shard {shard}, while {manifest.shard} shows the deletion")


def _unmarked(adopter: Adopter, stored: StoredObject, rows: ArchivedRows) -> str:
    """Return the depth of an archive that no marker names; empty if its rows are live. Raise as `_marked`."""
    model = adopter.databases.model
    of_shard = frozenset(table for table in model.tables if table.database == SHARD)
    in_shard, archived = rows.counts(of_shard)
    if not rows.counts(frozenset({model.root}))[0]:
        if in_shard:
            raise partly_live(stored, f"{in_shard} of {archived} rows of the shard, and none of {model.root}")
        if not (depth := _whole_depth(model)):
            raise _unknown_depth(stored)
        return depth
    for table in _starts(model):
        if rows.counts(frozenset({table}))[0] == 0 < rows.archived.get(table, 0):
            raise partly_live(stored, f"{model.root}, and no row of {table}")
    if archived and not in_shard:
        raise partly_live(stored, f"{model.root}, and no row of the shard")
    return ""


def _whole_depth(model: Model) -> str:
    """Return the only depth that begins at the tenant; empty if there are several."""
    depths = [depth for depth in model.catalog.depths if model.start(depth) == model.root]
    return depths[0] if len(depths) == 1 else ""


def _starts(model: Model) -> set[TableName]:
    """Return the tables at which depths begin."""
    return {model.start(depth) for depth in model.catalog.depths}


def partly_live(stored: StoredObject, what: str) -> RefusedError:
    """Return the error for an archive of which some rows are live, and some are not."""
    return RefusedError(
        f"The rows of {stored.location} are partly live: {what}. {UNCHANGED}",
        hint=f"{LATER} inv archive.list --unreferenced lists all such archives.",
    )


def _unknown_depth(stored: StoredObject) -> RefusedError:
    return RefusedError(
        f"{stored.location}: nothing says how much was deleted, and the catalog has several depths. {UNCHANGED}",
        hint=LATER,
    )


def extracted_at(stored: StoredObject) -> datetime:
    """Return the time in an object's key; without one, that of its last change."""
    try:
        return datetime.strptime(stored.location.split("/")[-2].split("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return stored.modified
