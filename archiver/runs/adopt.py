"""Adopt archives that no record names: the ledger mended from the store, after master was lost or set back.

Whether rows are live is asked of the live databases, and where they went of the shards' markers: never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from archiver.format import bundle, encryption, layout
from archiver.format.bundle import Archive
from archiver.format.encryption import Keys
from archiver.format.spool_folder import work_folder
from archiver.postgres.databases import Databases
from archiver.records import audit_log
from archiver.records.adoption import Adoption, MonthAdoption
from archiver.records.claims import claims_of
from archiver.records.markers import DELETED
from archiver.records.state import State
from archiver.runs.adoptable import UNCHANGED, Adopter, adoption_of
from archiver.runs.adoptable_month import month_adoption, open_slices
from archiver.runs.each import Done, Outcome, for_each
from archiver.store.bucket import Bucket, StoredDigests, StoredObject
from errors import DamagedError, RefusedError


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The end of an object: adopted in a state, or left, and why."""

    subject: str  # school 13 of 2013
    state: State | None = None  # None: it needs no record
    reason: str = ""


Write = Callable[[Adoption | MonthAdoption], object]
MONTHS, PURGES = "activity/", "purges/"  # how keys of these kinds begin
Adopted = Outcome[StoredObject, Verdict]


def adopter(
    databases: Databases, bucket: Bucket, keys: Keys, work: Path, zone: ZoneInfo, objects: Sequence[StoredObject]
) -> Adopter:
    """Return the resources of a look at these objects, with what shards and log say of them."""
    locations = [each.location for each in objects]
    return Adopter(
        databases=databases,
        bucket=bucket,
        keys=keys,
        work=work,
        zone=zone,
        objects=objects,
        claims=claims_of({name: databases.session(name) for name in databases.shards}, locations),
        closed=frozenset(audit_log.closed_locations(databases.master, locations)),
    )


def adopt(adopter: Adopter, write: Write, on_result: Callable[[Adopted], None]) -> list[Adopted]:
    """Judge each object and `write` those to adopt. One that fails is reported, and the others go on.

    The caller holds the exclusive lock. `write` may do nothing: a look. `on_result` is called with each outcome.
    """

    def judge(stored: StoredObject) -> Done[Verdict]:
        with work_folder(adopter.work) as work:
            return _judged(adopter, stored, write, work)

    return for_each(adopter.objects, judge, on_result, databases=adopter.databases)


def _judged(adopter: Adopter, stored: StoredObject, write: Write, work: Path) -> Done[Verdict]:
    key = adopter.bucket.key(stored.location)
    if adopter.is_closed(stored.location):
        return Done(detail=_closed(adopter, stored))
    if key.startswith(MONTHS):
        return _judged_month(adopter, stored, key, write, work)
    _refuse_other_kinds(stored, key)
    encryption.refuse_if_closed([stored.location], adopter.keys)
    digests, path = _fetched(adopter, stored, key, work)
    with bundle.opened(path, adopter.keys) as archive:
        _refuse_lie(adopter, archive, stored, key)
        subject = f"{archive.manifest.noun} {archive.manifest.tenant_id} of {archive.manifest.year}"
        adoption = adoption_of(adopter, archive, stored, digests)
        if isinstance(adoption, str):
            return Done(detail=Verdict(subject=subject, reason=adoption), size=stored.size)
        write(adoption)
        verdict = Verdict(subject=subject, state=adoption.state)
        return Done(detail=verdict, rows=archive.manifest.rows, size=stored.size)


def _closed(adopter: Adopter, stored: StoredObject) -> Verdict:
    """Return the verdict on an object that the markers and the log say enough of; refuse that of a lost move."""
    if any(each.act != DELETED for each in adopter.claims.get(stored.location, ())):
        raise RefusedError(
            f"{stored.location} is of a move that master has no record of: only master knew the new ids. {UNCHANGED}",
            hint="Restore master from a later backup.",
        )
    return Verdict(subject=stored.location, reason="its rows were restored, or it was dropped")


def _judged_month(adopter: Adopter, stored: StoredObject, key: str, write: Write, work: Path) -> Done[Verdict]:
    _, month, shard, *_ = key.split("/")
    subject = f"month {month} of {shard}"
    claims = open_slices(adopter, stored, month, shard)
    if not claims:
        return Done(detail=Verdict(subject=subject, reason="no marker shows that rows are in it alone"))
    digests, path = _fetched(adopter, stored, key, work)
    adoption = month_adoption(adopter, stored, digests, path, claims)
    write(adoption)
    rows = sum(each.deleted_rows for each in claims)
    return Done(detail=Verdict(subject=subject, state=adoption.state), rows=rows, size=stored.size)


def _refuse_other_kinds(stored: StoredObject, key: str) -> None:
    if key.startswith(PURGES):
        raise RefusedError(
            f"{stored.location} is an archive of a purge of legacy users, which can't be adopted. {UNCHANGED}",
            hint="Restore master from a later backup, or load it as its README explains.",
        )


def _fetched(adopter: Adopter, stored: StoredObject, key: str, work: Path) -> tuple[StoredDigests, Path]:
    """Fetch an object; raise DamagedError unless it is what was put there."""
    path = work / layout.file_name(stored.location)
    fetched, put = adopter.bucket.get(key, path, limit=stored.size), adopter.bucket.sha256(key)
    if put and put != fetched.sha256:
        raise DamagedError(
            f"{stored.location} is not what was stored: its SHA-256 is {fetched.sha256[:12]}…, at the put it was "
            f"{put[:12]}…. {UNCHANGED}",
            hint="The object was cut off, altered or swapped. Look for an older version of it in the store.",
        )
    now = adopter.bucket.object(key)
    return StoredDigests(**vars(fetched), etag=stored.etag, version_id=now.version_id if now else None), path


def _refuse_lie(adopter: Adopter, archive: Archive, stored: StoredObject, key: str) -> None:
    """Raise an error unless the manifest is of the kind, tenant and year that the object's key names."""
    manifest, noun = archive.manifest, adopter.databases.model.tenant.noun
    if manifest.noun != noun or manifest.month is not None:
        raise DamagedError(
            f"{stored.location}, {layout.MANIFEST}, noun: expected {noun}, got {manifest.noun!r}"
            f"{f' of the month {manifest.month}' if manifest.month else ''}: an unknown kind. {UNCHANGED}",
            hint="Is it another product's? Move it away from this prefix.",
        )
    extraction, encrypted = key.split("/")[2], encryption.is_encrypted(key)
    own = layout.object_key(noun, manifest.year, manifest.tenant_id, extraction, encrypted=encrypted)
    if own != key:
        raise DamagedError(
            f"{stored.location}, {layout.MANIFEST}: it is of {noun} {manifest.tenant_id} of {manifest.year}, so its "
            f"key would be {own}. {UNCHANGED}",
            hint="Object or key was swapped. Move it to the key that is its own, if nothing is there, and run again.",
        )
