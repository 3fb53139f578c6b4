"""Adopt archives that no record names: the ledger mended from the store, after master was lost or set back.

Whether rows are live is asked of the live databases, and where they went of the shards' markers: never guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from archiver.checks.purge_tables import NOUN
from archiver.format import bundle, encryption, layout
from archiver.format.bundle import Archive
from archiver.format.encryption import Keys
from archiver.format.spool_folder import work_folder
from archiver.postgres.databases import Databases
from archiver.records import audit_log
from archiver.records.adoption import Adoptable, PurgeAdoption, Repointing
from archiver.records.claims import claims_of
from archiver.records.state import State
from archiver.runs.adoptable import UNCHANGED, adoption_of
from archiver.runs.adoptable_month import claimed_slices, held_by, month_adoption, own_record, repointing
from archiver.runs.adoptable_move import move_adoption
from archiver.runs.adoptable_purge import purge_adoption, refuse_shared, users_in
from archiver.runs.adopter import Adopter
from archiver.runs.each import Done, Outcome, for_each
from archiver.store.bucket import Bucket, StoredDigests, StoredObject
from errors import DamagedError


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The end of an object: adopted in a state, or left, and why."""

    subject: str  # school 13 of 2013
    state: State | None = None  # None: it needs no record
    reason: str = ""


Write = Callable[[Adoptable], object]
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
    key, is_move = adopter.bucket.key(stored.location), bool(adopter.moves(stored.location))
    if adopter.is_closed(stored.location) and not is_move:
        return Done(detail=Verdict(subject=stored.location, reason="its rows were restored, or it was dropped"))
    if key.startswith(MONTHS):
        return _judged_month(adopter, stored, key, write, work)
    with _opened(adopter, stored, work) as (archive, digests):
        _refuse_lie(adopter, archive, stored, key)
        adoption = _adoption(adopter, archive, stored, digests)
        subject = f"{archive.manifest.noun} {archive.manifest.tenant_id} of {archive.manifest.year}"
        subject = f"move of {subject}" if is_move else subject
        if isinstance(adoption, str):
            return Done(detail=Verdict(subject=subject, reason=adoption), size=stored.size)
        write(adoption)
        verdict = Verdict(subject=subject, state=adoption.state)
        return Done(detail=verdict, rows=archive.manifest.rows, size=stored.size)


def _adoption(adopter: Adopter, archive: Archive, stored: StoredObject, digests: StoredDigests) -> Adoptable | str:
    """Return what the ledger is to say of an archive, of whatever kind, or why it needs no record."""
    if adopter.moves(stored.location):
        return move_adoption(adopter, archive, stored, digests)
    if adopter.bucket.key(stored.location).startswith(PURGES):
        return _purge_adoption(adopter, archive, stored, digests)
    return adoption_of(adopter, archive, stored, digests)


def _judged_month(adopter: Adopter, stored: StoredObject, key: str, write: Write, work: Path) -> Done[Verdict]:
    _, month, shard, *_ = key.split("/")
    subject = f"month {month} of {shard}"
    claims = claimed_slices(adopter, stored, month, shard)
    if not claims:
        return Done(detail=Verdict(subject=subject, reason="no marker shows that rows are in it alone"))
    record = own_record(adopter, stored, month, claims)
    if record and adopter.has(record.location):
        return Done(detail=Verdict(subject=subject, reason=held_by(record.location)))
    digests, path = _fetched(adopter, stored, key, work)
    adoption = (
        repointing(adopter, stored, digests, path, record, claims)
        if record
        else month_adoption(adopter, stored, digests, path, claims)
    )
    if isinstance(adoption, str):
        return Done(detail=Verdict(subject=subject, reason=adoption))
    write(adoption)
    rows = sum(each.deleted_rows for each in claims)
    return Done(detail=Verdict(subject=subject, state=adoption.state), rows=rows, size=stored.size)


def _purge_adoption(
    adopter: Adopter, archive: Archive, stored: StoredObject, digests: StoredDigests
) -> PurgeAdoption | Repointing | str:
    """Return as `purge_adoption`; raise RefusedError if another purge that no record names has a user of this one."""
    adoption = purge_adoption(adopter, archive, stored, digests)
    if isinstance(adoption, PurgeAdoption):
        for other in adopter.objects:
            if other != stored and adopter.bucket.key(other.location).startswith(PURGES):
                with work_folder(adopter.work) as work, _opened(adopter, other, work) as (theirs, _):
                    refuse_shared(stored, adoption.ids, other, users_in(adopter, theirs))
    return adoption


@contextmanager
def _opened(adopter: Adopter, stored: StoredObject, work: Path) -> Iterator[tuple[Archive, StoredDigests]]:
    """Fetch and open an archive, checked against its own manifest."""
    encryption.refuse_if_closed([stored.location], adopter.keys)
    digests, path = _fetched(adopter, stored, adopter.bucket.key(stored.location), work)
    with bundle.opened(path, adopter.keys) as archive:
        yield archive, digests


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
    is_purge = key.startswith(PURGES)
    manifest, noun = archive.manifest, NOUN if is_purge else adopter.databases.model.tenant.noun
    if manifest.noun != noun or manifest.month is not None:
        raise DamagedError(
            f"{stored.location}, {layout.MANIFEST}, noun: expected {noun}, got {manifest.noun!r}"
            f"{f' of the month {manifest.month}' if manifest.month else ''}: an unknown kind. {UNCHANGED}",
            hint="Is it another product's? Move it away from this prefix.",
        )
    extraction, encrypted = key.split("/")[-2], encryption.is_encrypted(key)
    own = layout.object_key(noun, manifest.year, manifest.tenant_id, extraction, encrypted=encrypted)
    own = f"{PURGES}{own}" if is_purge else own
    if own != key:
        raise DamagedError(
            f"{stored.location}, {layout.MANIFEST}: it is of {noun} {manifest.tenant_id} of {manifest.year}, so its "
            f"key would be {own}. {UNCHANGED}",
            hint="Object or key was swapped. Move it to the key that is its own, if nothing is there, and run again.",
        )
