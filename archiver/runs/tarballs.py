"""Decrypt tarballs, and re-encrypt them to the current recipients as a new, verified object."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from archiver.format import encryption
from archiver.format.encryption import Keys
from archiver.records.archives import ArchiveRecord
from archiver.runs.context import Archiver, fetch
from archiver.store.bucket import Digests, file_digests
from errors import DamagedError


def plain(path: Path, keys: Keys, target: Path) -> Digests:
    """Write an archive's plain tarball, encrypted or not, to `target`; return its size and digests."""
    if not encryption.is_encrypted(path.name):
        path.rename(target)
    else:
        with target.open("wb") as sink:
            encryption.decrypt(path, keys, sink)
    return file_digests(target)


def reencrypted(archiver: Archiver, record: ArchiveRecord, location: str, opened: Path) -> ArchiveRecord:
    """Fetch, decrypt to `opened`, encrypt, store, fetch back and verify; return the new record, not yet written."""
    work = opened.parent
    content = plain(fetch(archiver.bucket, record, work / "earlier"), archiver.keys, opened)
    path = encryption.encrypt(opened, archiver.keys)
    digests = archiver.bucket.put(archiver.bucket.key(location), path, file_digests(path))
    stored = replace(record, location=location, recipients=archiver.keys.recipients, **asdict(digests))
    if plain(fetch(archiver.bucket, stored, work / "fetched"), archiver.keys, opened) != content:
        raise unequal(location, record.location)
    return stored


def unequal(location: str, earlier: str) -> DamagedError:
    """Return the error for a new object that differs."""
    return DamagedError(f"{location} does not hold what {earlier} holds. The record stays as it is.")
