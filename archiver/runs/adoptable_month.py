"""Decide what the ledger is to say of a month's object that no record names, by the shard's markers and its slices."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from archiver.catalog.model import MASTER
from archiver.format import bundle, encryption, layout
from archiver.format.manifest import Manifest
from archiver.format.rows import JOIN
from archiver.postgres.own_schema import ready
from archiver.records import audit_log, month_record, slice_record
from archiver.records.adoption import REPLACEABLE, UNKNOWN_KEYS, MonthAdoption, Repointing, SlicePosition
from archiver.records.claims import SliceClaim, slice_claims
from archiver.records.cutoff import end_of, parse_month
from archiver.records.month_record import Month
from archiver.records.state import Kind, State
from archiver.runs.adoptable import LATER, UNCHANGED
from archiver.runs.adopter import Adopter
from archiver.store.bucket import StoredDigests, StoredObject
from errors import DamagedError, RefusedError
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class _Fetched:
    """A month's object in the work folder, with its members by name."""

    stored: StoredObject
    path: Path
    entries: Mapping[str, tarfile.TarInfo]
    month: str
    shard: str


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A slice in a month's object; its manifest says whose it is."""

    start: int
    size: int
    sha256: str
    encrypted: bool
    manifest: Manifest

    @property
    def rows(self) -> dict[str, int]:
        """The number of rows by member, without empty members."""
        return {name: member.rows for name, member in self.manifest.members.items() if member.rows}


def claimed_slices(adopter: Adopter, stored: StoredObject, month: str, shard: str) -> list[SliceClaim]:
    """Return the slices of the run that a month's object is of, if rows are in it alone, by the shard's markers.

    Of some a marker may name another object: a drop wrote one of the two anew. Raises RefusedError for a shard that the
    inventory has not, or if markers of several runs name the object.
    """
    databases = adopter.databases
    if shard not in (MASTER, *databases.shards):
        raise RefusedError(
            f"{stored.location} is of {shard}, which the inventory has not. {UNCHANGED}",
            hint=f"The inventory has: {', '.join(databases.shards)}.",
        )
    every = slice_claims(databases.session(shard), stored.location)
    locations = {each.location for each in every}
    closed = {location: audit_log.closed_slices(databases.master, location) for location in locations}
    claims = [each for each in every if each.deleted_rows > 0 and each.key not in closed[each.location]]
    if len({(each.id, each.started_at) for each in claims}) > 1:
        raise _taken(stored, month, claims, "several runs")
    return claims if any(each.location == stored.location for each in claims) else []


def own_record(adopter: Adopter, stored: StoredObject, month: str, claims: Sequence[SliceClaim]) -> Month | None:
    """Return the record of the run that deleted these slices, if master has it, with another object.

    Raise RefusedError if another run has its number, or it lacks one of them and its object is in the store.
    """
    master, first, keys = adopter.databases.master, claims[0], {each.key for each in claims}
    for record in month_record.of_ids(master, [first.id]) if ready(master) else ():
        if record.state in REPLACEABLE:
            continue
        is_own = record.started_at == first.started_at and record.state is State.ARCHIVED
        recorded = {each.tenant_id for each in slice_record.of_archive(master, record)}
        if is_own and (keys <= recorded or not adopter.has(record.location)):
            return record
        raise _taken(stored, month, claims, adopter.named(record.location))
    return None


def repointing(
    adopter: Adopter,
    stored: StoredObject,
    digests: StoredDigests,
    path: Path,
    record: Month,
    claims: Sequence[SliceClaim],
) -> Repointing:
    """Return a month's record, whose object is gone, as it is to be: it names the object in the work folder.

    Raise DamagedError if that object lies.
    """
    fetched = _fetched(stored, path, record.month, record.shard)
    by_key, present, dropped = {each.key: each for each in claims}, [], []
    for each in slice_record.of_archive(adopter.databases.master, record):
        if now := _found(adopter, fetched, each.tenant_id):
            if now.rows != each.rows:
                raise _altered(stored, f"its slice of {each.tenant_id} has other rows than its record says")
            present.append((each, now))
        elif (claim := by_key.get(each.tenant_id)) and _is_dropped(adopter, stored, claim):
            dropped.append(each)
    keys = tuple(UNKNOWN_KEYS) if any(now.encrypted for _, now in present) else ()
    moved = replace(record, location=stored.location, recipients=keys, **asdict(digests))
    slices = [replace(each, month=moved, start=now.start, size=now.size, sha256=now.sha256) for each, now in present]
    return Repointing(kind=Kind.MONTH, record=moved, slices=slices, dropped=dropped)


def month_adoption(
    adopter: Adopter, stored: StoredObject, digests: StoredDigests, path: Path, claims: Sequence[SliceClaim]
) -> MonthAdoption | str:
    """Return what the ledger is to say of a month's object in the work folder, or why it needs no record.

    A drop that was cut off left two objects: the one with all slices is adopted, whichever is looked at first. Raises
    DamagedError if the object lies.
    """
    _, month, shard, *_ = adopter.bucket.key(stored.location).split("/")
    fetched, present, dropped = _fetched(stored, path, month, shard), [], []
    for claim in claims:
        if now := _found(adopter, fetched, claim.key):
            present.append((claim, now))
        elif _is_dropped(adopter, stored, claim):
            dropped.append(claim)
        else:
            return held_by(claim.location)
    manifest = present[0][1].manifest
    return MonthAdoption(
        month=month,
        year=manifest.year,
        before=end_of(parse_month(month), adopter.zone),
        shard=shard,
        location=stored.location,
        fingerprint=manifest.fingerprint,
        digests=digests,
        id=claims[0].id,
        started_at=claims[0].started_at,
        archived_at=max(each.at for each in claims),
        turn=claims[0].turn,
        encrypted=any(now.encrypted for _, now in present),
        positions=[
            SlicePosition(claim=claim, start=now.start, size=now.size, sha256=now.sha256, rows=now.rows)
            for claim, now in present
        ],
        dropped=dropped,
    )


def held_by(location: str) -> str:
    """Return why an object needs no record: another one has its slices, and more."""
    return f"{location} holds them"


def _is_dropped(adopter: Adopter, stored: StoredObject, claim: SliceClaim) -> bool:
    """True if a drop took a slice out of a month's object, which lacks it; raise DamagedError if its marker names that.

    A drop writes the markers of all others before it deletes the earlier object; nothing else leaves a slice out.
    """
    if claim.location == stored.location:
        raise _altered(stored, f"it has no slice of {claim.key}")
    return not adopter.has(claim.location)


def _fetched(stored: StoredObject, path: Path, month: str, shard: str) -> _Fetched:
    return _Fetched(stored=stored, path=path, entries=_entries(path, stored), month=month, shard=shard)


def _entries(path: Path, stored: StoredObject) -> Mapping[str, tarfile.TarInfo]:
    """Return the members of a month's object by name."""
    try:
        with tarfile.open(path, mode="r:") as tar:
            return {entry.name: entry for entry in tar}
    except (tarfile.TarError, EOFError) as error:
        raise DamagedError(
            f"{stored.location} is not a complete object of a month: {error}. {UNCHANGED}",
            hint="The object was cut off, altered or swapped. Look for an older version of it in the store.",
        ) from error


def _found(adopter: Adopter, fetched: _Fetched, key: Key) -> _Found | None:
    """Return a tenant's slice, encrypted or not; None if it is not there. Raise DamagedError if it is another's."""
    name = layout.tarball(adopter.databases.model.tenant.noun, fetched.month, key)
    for each in (name, f"{name}{layout.ENCRYPTED}"):
        if entry := fetched.entries.get(each):
            encryption.refuse_if_closed([f"{fetched.stored.location}, member {each}"], adopter.keys)
            cut = fetched.path.parent / each
            sha256 = _cut(fetched.path, entry, cut)
            with bundle.opened(cut, adopter.keys) as archive:
                manifest = archive.manifest
            cut.unlink()
            _refuse_lie(fetched.stored, each, manifest, (key, fetched.month, fetched.shard))
            encrypted = encryption.is_encrypted(each)
            return _Found(
                start=entry.offset_data, size=entry.size, sha256=sha256, encrypted=encrypted, manifest=manifest
            )
    return None


def _cut(path: Path, entry: tarfile.TarInfo, target: Path) -> str:
    """Write a member of a month's object to a file; return its SHA-256."""
    digest, left = hashlib.sha256(), entry.size
    with path.open("rb") as source, target.open("wb") as out:
        source.seek(entry.offset_data)
        while data := source.read(min(JOIN, left)):
            digest.update(data)
            out.write(data)
            left -= len(data)
    return digest.hexdigest()


def _refuse_lie(stored: StoredObject, name: str, manifest: Manifest, expected: tuple[object, ...]) -> None:
    if (manifest.tenant_id, manifest.month, manifest.shard) != expected:
        own = f"{manifest.noun} {manifest.tenant_id}, {manifest.month}, {manifest.shard}"
        raise _altered(stored, f"{name}, {layout.MANIFEST}: it is of {own}; expected {', '.join(map(str, expected))}")


def _altered(stored: StoredObject, how: str) -> DamagedError:
    return DamagedError(
        f"{stored.location} is not what its shard's markers say: {how}. {UNCHANGED}",
        hint="The object was altered or swapped. Look for an older version of it in the store.",
    )


def _taken(stored: StoredObject, month: str, claims: Sequence[SliceClaim], by: str) -> RefusedError:
    ids = ", ".join(map(str, sorted({each.id for each in claims})))
    return RefusedError(
        f"{stored.location}, a month of {month}, was archived by record {ids}, which is that of {by} now. {UNCHANGED}",
        hint=LATER,
    )
