"""What a run works with, and what every run does: a new address, packing, fetching, and the time that is left."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from archiver.catalog.model import Model
from archiver.delete.one import Deletion
from archiver.extract.one import Extract
from archiver.extract.packed import Packed
from archiver.format import bundle, layout
from archiver.format.bundle import Archive
from archiver.format.encryption import Keys
from archiver.postgres.databases import Databases
from archiver.records.archive_record import ArchiveRequest
from archiver.store.bucket import Bucket, file_digests
from archiver.store.schemas import StoredSchemas
from archiver.verify.scratch import ScratchDatabase
from errors import CutoverError, DamagedError
from inventory.model import Fence


@dataclass(frozen=True, kw_only=True)
class Archiver:
    """What the work is done with."""

    databases: Databases
    bucket: Bucket
    schemas: StoredSchemas  # of that bucket
    scratch: ScratchDatabase  # where archives are proved
    keys: Keys
    work: Path  # where rows are spooled
    fence: Fence | None = None

    @property
    def model(self) -> Model:
        """The catalog's model."""
        return self.databases.model


class Tarball(Protocol):
    """What is known of a tarball in the store, by whatever names it."""

    @property
    def location(self) -> str:
        """s3://bucket/key."""

    @property
    def size(self) -> int | None:
        """Bytes."""

    @property
    def sha256(self) -> str | None:
        """Of the whole."""


@dataclass(frozen=True, kw_only=True)
class ArchiveOutcome:
    """What became of one tenant."""

    tenant_id: int
    seconds: float
    rows: int = 0
    size: int = 0  # bytes of the tarball
    deletion: Deletion | None = None  # none: pretended, or failed
    error: CutoverError | None = None


OnArchived = Callable[[ArchiveOutcome], None]


def deadline_passed(request: ArchiveRequest) -> bool:
    """Whether nothing new is to be begun any more."""
    return request.until is not None and datetime.now(UTC) > request.until


def out_of_time(noun: str, tenant_id: int) -> CutoverError:
    """What is said of a tenant for which there was no time."""
    return CutoverError(
        f"{noun.capitalize()} {tenant_id} was left as it was: there is no time for it.",
        hint="The same command later goes on with those that are left.",
    )


def new_location(archiver: Archiver, year: int, tenant_id: int) -> str:
    """An address in the store where nothing lies yet: no object is ever overwritten."""
    encrypted = bool(archiver.keys.recipients)
    key = layout.object_key(archiver.model.tenant.noun, year, tenant_id, new_extraction(), encrypted=encrypted)
    return archiver.bucket.location(key)


def new_extraction() -> str:
    """A name that no other extraction has: `20140815T221500-1f3a9c04`."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def pack(archiver: Archiver, extract: Extract, work: Path) -> Packed:
    """Packs a tenant's rows into a tarball in the work folder, encrypted where the environment has recipients."""
    manifest, path = bundle.pack(extract.manifest, extract.rows, archiver.keys, work)
    return Packed(extract=replace(extract, manifest=manifest), path=path, digests=file_digests(path))


@contextmanager
def opened(archiver: Archiver, work: Path, record: Tarball) -> Iterator[Archive]:
    """What the store holds of a record."""
    with bundle.opened(fetch(archiver.bucket, record, work / "fetched"), archiver.keys) as stored:
        yield stored


def fetch(bucket: Bucket, record: Tarball, folder: Path) -> Path:
    """Fetches a record's tarball; DamagedError unless its size and digests are those of the record."""
    folder.mkdir(exist_ok=True)
    path = folder / layout.file_name(record.location)
    found = bucket.get(bucket.key(record.location), path)
    if (found.size, found.sha256) != (record.size, record.sha256):
        raise DamagedError(
            f"{record.location} is not what was stored: {found.size} bytes with SHA-256 {found.sha256[:12]}…, "
            f"the record says {record.size} bytes with {str(record.sha256)[:12]}…. Nothing was changed.",
            hint="The object was cut off, altered or swapped. Look for an older version of it in the store.",
        )
    return path
