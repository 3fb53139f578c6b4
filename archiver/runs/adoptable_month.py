"""Decide what the ledger is to say of a month's object that no record names, by the shard's markers and its slices."""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from archiver.catalog.model import MASTER
from archiver.format import bundle, encryption, layout
from archiver.format.manifest import Manifest
from archiver.format.rows import JOIN
from archiver.postgres.own_schema import ready
from archiver.records import audit_log, month_record
from archiver.records.adoption import REPLACEABLE, MonthAdoption, SlicePosition
from archiver.records.claims import SliceClaim, slice_claims
from archiver.records.cutoff import end_of, parse_month
from archiver.runs.adoptable import LATER, UNCHANGED, Adopter
from archiver.store.bucket import StoredDigests, StoredObject
from errors import DamagedError, RefusedError


def open_slices(adopter: Adopter, stored: StoredObject, month: str, shard: str) -> list[SliceClaim]:
    """Return the slices of a month's object whose rows are only there, by the shard's markers.

    Raises RefusedError for a shard that the inventory has not, or if another record has their number.
    """
    databases = adopter.databases
    if shard not in (MASTER, *databases.shards):
        raise RefusedError(
            f"{stored.location} is of {shard}, which the inventory has not. {UNCHANGED}",
            hint=f"The inventory has: {', '.join(databases.shards)}.",
        )
    closed = audit_log.closed_slices(databases.master, stored.location)
    every = slice_claims(databases.session(shard), stored.location)
    claims = [each for each in every if each.deleted_rows > 0 and each.key not in closed]
    ids = {each.id for each in claims}
    taken = month_record.of_ids(databases.master, sorted(ids)) if ready(databases.master) else ()
    others = [each.location for each in taken if each.state not in REPLACEABLE]
    if len({(each.id, each.started_at) for each in claims}) > 1 or others:
        raise RefusedError(
            f"{stored.location}, a month of {month}, was archived by record {', '.join(map(str, sorted(ids)))}, which "
            f"is that of {', '.join(others) or 'several runs'} now. {UNCHANGED}",
            hint=LATER,
        )
    return claims


def month_adoption(
    adopter: Adopter, stored: StoredObject, digests: StoredDigests, path: Path, claims: Sequence[SliceClaim]
) -> MonthAdoption:
    """Return what the ledger is to say of a month's object in the work folder; raise DamagedError if it lies."""
    _, month, shard, *_ = adopter.bucket.key(stored.location).split("/")
    entries = _entries(path, stored)
    positions, manifests, encrypted = [], [], False
    for claim in claims:
        name, entry = _entry(adopter, stored, entries, month, claim)
        encryption.refuse_if_closed([f"{stored.location}, member {name}"], adopter.keys)
        cut, encrypted = path.parent / name, encryption.is_encrypted(name)
        sha256 = _cut(path, entry, cut)
        with bundle.opened(cut, adopter.keys) as archive:
            manifest = archive.manifest
        cut.unlink()
        _refuse_lie(stored, name, manifest, (claim.key, month, shard))
        rows = {member: counts.rows for member, counts in manifest.members.items() if counts.rows}
        positions.append(SlicePosition(claim=claim, start=entry.offset_data, size=entry.size, sha256=sha256, rows=rows))
        manifests.append((manifest.year, manifest.fingerprint))
    year, fingerprint = manifests[0]
    return MonthAdoption(
        month=month,
        year=year,
        before=end_of(parse_month(month), adopter.zone),
        shard=shard,
        location=stored.location,
        fingerprint=fingerprint,
        digests=digests,
        id=claims[0].id,
        started_at=claims[0].started_at,
        archived_at=max(each.at for each in claims),
        encrypted=encrypted,
        positions=positions,
    )


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


def _entry(
    adopter: Adopter, stored: StoredObject, entries: Mapping[str, tarfile.TarInfo], month: str, claim: SliceClaim
) -> tuple[str, tarfile.TarInfo]:
    """Return the name and the entry of a slice, encrypted or not."""
    name = layout.tarball(adopter.databases.model.tenant.noun, month, claim.key)
    for each in (name, f"{name}{layout.ENCRYPTED}"):
        if each in entries:
            return each, entries[each]
    raise DamagedError(
        f"{stored.location} is not what its shard's markers say: it has no member {name}. {UNCHANGED}",
        hint="The object was altered or swapped. Look for an older version of it in the store.",
    )


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
        raise DamagedError(
            f"{stored.location}, {name}, {layout.MANIFEST}: it is of {manifest.noun} {manifest.tenant_id}, "
            f"{manifest.month}, {manifest.shard}; expected {', '.join(map(str, expected))}. {UNCHANGED}",
            hint="The object was altered or swapped. Look for an older version of it in the store.",
        )
