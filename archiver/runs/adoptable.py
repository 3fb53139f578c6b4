"""Decide what the ledger is to say of a tenant's archive that no record names, by the live databases and markers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from archiver.catalog.model import MASTER, SHARD, Model, TableName
from archiver.format.bundle import Archive
from archiver.format.encryption import Keys
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.records import archive_record, claims, id_index
from archiver.records.adoption import REPLACEABLE, Adoption
from archiver.records.archive_record import Record
from archiver.records.claims import ArchiveClaim
from archiver.records.state import State
from archiver.runs.archived_rows import ArchivedRows, archived_rows
from archiver.store.bucket import Bucket, StoredDigests, StoredObject
from errors import RefusedError

UNCHANGED = "Nothing was changed."
LATER = "Restore master from a later backup, or load the archive as its README explains."


@dataclass(frozen=True, kw_only=True)
class Adopter:
    """The resources of a look at the store, and what it found there."""

    databases: Databases
    bucket: Bucket
    keys: Keys
    work: Path
    zone: ZoneInfo
    objects: Sequence[StoredObject]
    claims: Mapping[str, Sequence[ArchiveClaim]]  # by location
    closed: frozenset[str]  # locations of archives that were restored or dropped, by master's log

    def open_claim(self, location: str) -> ArchiveClaim | None:
        """Return the marker of a deletion whose rows are in this archive alone."""
        if location in self.closed:
            return None
        return next((each for each in self.claims.get(location, ()) if each.open), None)

    def is_closed(self, location: str) -> bool:
        """True if its rows came back since they were deleted, or it was dropped."""
        of_object = self.claims.get(location, ())
        return location in self.closed or (bool(of_object) and not any(each.open for each in of_object))

    def rivals(self, stored: StoredObject) -> list[StoredObject]:
        """Return the other objects of the same tenant and year that may hold its rows."""
        folder = _folder(stored.location)
        others = (each for each in self.objects if each != stored and _folder(each.location) == folder)
        return [each for each in others if not self.is_closed(each.location)]


def adoption_of(adopter: Adopter, archive: Archive, stored: StoredObject, digests: StoredDigests) -> Adoption | str:
    """Return what the ledger is to say of an archive, or why it needs no record; raise RefusedError if it can't say."""
    manifest, claim = archive.manifest, adopter.open_claim(stored.location)
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
        _refuse_rivals(adopter, stored)
    deleted_from, ids = adopter.databases.model.below(depth), id_index.ids_in(archive)
    live = {table.table: set(each.identities()) for table, each in rows.live.items() if table.database == MASTER}
    return Adoption(
        manifest=manifest,
        location=stored.location,
        digests=digests,
        id=claim.id if claim else None,
        started_at=claim.started_at if claim else _extracted_at(stored),
        archived_at=claim.at if claim and state is State.ARCHIVED else None,
        depth=depth,
        night=marker.get("night"),
        state=state,
        live=rows.counts_by_table(deleted_from) if state is State.ARCHIVED else {},
        retained=[each for database in placement.sessions for each in rows.retained(database)],
        ids=ids,
        deleted={name: [each for each in of_table if each not in live.get(name, ())] for name, of_table in ids.items()},
    )


def _recorded(adopter: Adopter, archive: Archive, stored: StoredObject, claim: ArchiveClaim | None) -> str:
    """Return why another archive has the rows; empty if none does. Raise RefusedError if two may."""
    manifest, master = archive.manifest, adopter.databases.master
    records = archive_record.read_if_any(master, manifest.year, tenant_id=manifest.tenant_id)
    others = [each.location for each in records if each.state not in REPLACEABLE]
    claimed = [each.location for each in adopter.rivals(stored) if adopter.open_claim(each.location)]
    if claim is None:
        return f"{(others + claimed)[0]} holds them" if others + claimed else ""
    if others + claimed:
        raise _two(stored, (others + claimed)[0], "a marker names it, and a record or a marker names the other")
    taken = [each for each in _of_id(master, claim.id) if each.state not in REPLACEABLE]
    if taken:
        raise RefusedError(
            f"{stored.location} was archived by record {claim.id}, which is that of {taken[0].location} now. "
            f"{UNCHANGED}",
            hint=LATER,
        )
    return ""


def _of_id(master: Session, number: int) -> tuple[Record, ...]:
    """Return the record of that id, if there is one; a lost ledger may have no tables."""
    return archive_record.of_ids(master, [number]) if ready(master) else ()


def _refuse_rivals(adopter: Adopter, stored: StoredObject) -> None:
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
            raise _partly_live(stored, f"rows of {table}, whose deletion {manifest.shard} shows")
    live, archived = rows.counts(frozenset({model.start(depth)}))
    if 0 < live < archived:
        raise _partly_live(stored, f"{live} of {archived} rows of {model.start(depth)}")
    if not live:
        return depth, State.ARCHIVED
    _refuse_other_shard(adopter, archive, stored)
    live, archived = rows.counts(frozenset(table for table in model.below(depth) if rows.has_key_in(MASTER, table)))
    if live < archived:
        raise _partly_live(stored, f"{live} of {archived} rows of master, whose backup may be older than the others")
    return depth, State.DELETING


def _refuse_other_shard(adopter: Adopter, archive: Archive, stored: StoredObject) -> None:
    manifest, databases = archive.manifest, adopter.databases
    live = tenants.tenant(databases.master, databases.model.tenant, manifest.tenant_id)
    if live is None or live.shard != manifest.shard:
        shard = live.shard if live else "none"
        raise _partly_live(stored, f"master's rows, with the shard {shard}, while {manifest.shard} shows the deletion")


def _unmarked(adopter: Adopter, stored: StoredObject, rows: ArchivedRows) -> str:
    """Return the depth of an archive that no marker names; empty if its rows are live. Raise as `_marked`."""
    model = adopter.databases.model
    of_shard = frozenset(table for table in model.tables if table.database == SHARD)
    in_shard, archived = rows.counts(of_shard)
    if not rows.counts(frozenset({model.root}))[0]:
        if in_shard:
            raise _partly_live(stored, f"{in_shard} of {archived} rows of the shard, and none of {model.root}")
        if not (depth := _whole_depth(model)):
            raise _unknown_depth(stored)
        return depth
    for table in _starts(model):
        if rows.counts(frozenset({table}))[0] == 0 < rows.archived.get(table, 0):
            raise _partly_live(stored, f"{model.root}, and no row of {table}")
    if archived and not in_shard:
        raise _partly_live(stored, f"{model.root}, and no row of the shard")
    return ""


def _whole_depth(model: Model) -> str:
    """Return the only depth that begins at the tenant; empty if there are several."""
    depths = [depth for depth in model.catalog.depths if model.start(depth) == model.root]
    return depths[0] if len(depths) == 1 else ""


def _starts(model: Model) -> set[TableName]:
    """Return the tables at which depths begin."""
    return {model.start(depth) for depth in model.catalog.depths}


def _partly_live(stored: StoredObject, what: str) -> RefusedError:
    return RefusedError(
        f"{stored.location} is of a tenant that is partly live: {what}. {UNCHANGED}",
        hint=f"{LATER} inv archive.list --unreferenced lists all such archives.",
    )


def _unknown_depth(stored: StoredObject) -> RefusedError:
    return RefusedError(
        f"{stored.location}: nothing says how much was deleted, and the catalog has several depths. {UNCHANGED}",
        hint=LATER,
    )


def _folder(location: str) -> str:
    """Return what the objects of a tenant's archives of one year have in common."""
    return location.rsplit("/", 2)[0]


def _extracted_at(stored: StoredObject) -> datetime:
    """Return the time in an object's key; without one, that of its last change."""
    try:
        return datetime.strptime(stored.location.split("/")[-2].split("-")[0], "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return stored.modified
