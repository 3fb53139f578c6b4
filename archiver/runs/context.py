"""The resources of a run, and steps that every run shares: new locations, packing, fetching, the deadline."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from archiver.catalog.model import Model
from archiver.delete.one import Deletion
from archiver.extract.one import Extract
from archiver.extract.packed import Packed
from archiver.format import bundle, layout
from archiver.format.bundle import Archive
from archiver.format.encryption import Keys
from archiver.postgres.databases import Databases
from archiver.records.archive_request import ArchiveRequest
from archiver.runs.each import Outcome
from archiver.store.bucket import Bucket, file_digests
from archiver.store.schemas import StoredSchemas
from archiver.store.standing import StoredArchive
from archiver.verify.scratch import ScratchDatabase
from errors import CutoverError, DamagedError
from inventory.keys import Key
from inventory.model import Fence


@dataclass(frozen=True, kw_only=True)
class Archiver:
    """The resources of a run: databases, store, keys and work folder."""

    databases: Databases
    bucket: Bucket
    schemas: StoredSchemas  # of that bucket
    scratch: ScratchDatabase  # where archives are verified
    keys: Keys
    work: Path  # where rows are spooled
    fence: Fence | None = None

    @property
    def model(self) -> Model:
        """The catalog's model."""
        return self.databases.model


ArchiveOutcome = Outcome[Key, Deletion | None]  # of a tenant's id; no deletion: pretended, or failed
OnArchived = Callable[[ArchiveOutcome], None]


def deadline_passed(request: ArchiveRequest) -> bool:
    """True if the time by which the run must stop starting work has passed."""
    return request.until is not None and datetime.now(UTC) > request.until


def out_of_time(noun: str, tenant_id: Key) -> CutoverError:
    """Return the error for a tenant skipped for lack of time."""
    return CutoverError(
        f"{noun.capitalize()} {tenant_id} was left as it was: there is no time for it.",
        hint="The same command later goes on with those that are left.",
    )


def new_location(archiver: Archiver, year: int, tenant_id: Key) -> str:
    """Return an unused location in the store: no object is ever overwritten."""
    encrypted = bool(archiver.keys.recipients)
    key = layout.object_key(archiver.model.tenant.noun, year, tenant_id, new_extraction(), encrypted=encrypted)
    return archiver.bucket.location(key)


def new_extraction() -> str:
    """Return a unique name for an extraction, such as `20140815T221500-1f3a9c04`."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"


def pack(archiver: Archiver, extract: Extract, work: Path) -> Packed:
    """Pack a tenant's rows into a tarball in the work folder, encrypted if the environment has recipients."""
    manifest, path = bundle.pack(extract.manifest, extract.rows, archiver.keys, work)
    return Packed(extract=replace(extract, manifest=manifest), path=path, digests=file_digests(path))


@contextmanager
def opened(archiver: Archiver, work: Path, record: StoredArchive) -> Iterator[Archive]:
    """Fetch and open a record's tarball."""
    with bundle.opened(fetch(archiver.bucket, record, work / "fetched"), archiver.keys) as stored:
        yield stored


def fetch(bucket: Bucket, record: StoredArchive, folder: Path) -> Path:
    """Fetch a record's tarball; raise DamagedError unless size and digest match the record."""
    folder.mkdir(exist_ok=True)
    path = folder / layout.file_name(record.location)
    digests = bucket.get(bucket.key(record.location), path, limit=record.size)
    if (digests.size, digests.sha256) != (record.size, record.sha256):
        raise DamagedError(
            f"{record.location} is not what was stored: {digests.size} bytes with SHA-256 {digests.sha256[:12]}…, "
            f"the record says {record.size} bytes with {str(record.sha256)[:12]}…. Nothing was changed.",
            hint="The object was cut off, altered or swapped. Look for an older version of it in the store.",
        )
    return path
