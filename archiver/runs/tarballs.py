"""Tarballs opened to their plain bytes, and encrypted to today's recipients: a new object, proved equal."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TypeVar

from archiver.format import encryption, layout
from archiver.format.encryption import Keys
from archiver.records.archive_record import Record
from archiver.records.month_record import Month
from archiver.records.purge_record import Purge
from archiver.records.resolve import Archived
from archiver.runs.context import Archiver, fetch
from archiver.store.bucket import Digests, file_digests
from errors import DamagedError

Tarball = TypeVar("Tarball", Record, Purge)


def as_encrypted(record: Archived) -> str:
    """The name by which it can be told whether an identity is wanted: of a month's object each slice is encrypted."""
    return (
        f"{record.location}{layout.ENCRYPTED}" if isinstance(record, Month) and record.recipients else record.location
    )


def plain(path: Path, keys: Keys, target: Path) -> Digests:
    """Writes the plain tarball of an archive, encrypted or not; what its bytes come to."""
    if not encryption.is_encrypted(path.name):
        path.rename(target)
    else:
        with target.open("wb") as sink:
            encryption.decrypt(path, keys, sink)
    return file_digests(target)


def reencrypted(archiver: Archiver, record: Tarball, location: str, opened: Path) -> Tarball:
    """Fetch, open, encrypt, store, fetch back and prove; the record as it shall be. `opened` is where it lies plain."""
    work = opened.parent
    content = plain(fetch(archiver.bucket, record, work / "earlier"), archiver.keys, opened)
    path = encryption.encrypt(opened, archiver.keys)
    digests = file_digests(path)
    archiver.bucket.put(archiver.bucket.key(location), path, digests)
    stored = replace(record, location=location, recipients=archiver.keys.recipients, **asdict(digests))
    if plain(fetch(archiver.bucket, stored, work / "fetched"), archiver.keys, opened) != content:
        raise unequal(location, record.location)
    return stored


def unequal(location: str, earlier: str) -> DamagedError:
    """What is said where the new object is not the same."""
    return DamagedError(f"{location} does not hold what {earlier} holds. The record stays as it is.")
