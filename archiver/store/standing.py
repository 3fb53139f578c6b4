"""Look at stored objects again before their rows are deleted: each must be as it was put."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from archiver.store.bucket import Bucket, StoredObject
from errors import RefusedError

FEW = 20  # objects that are looked at one by one; more are listed, a thousand in a request


class StoredArchive(Protocol):
    """A record of an object in the store."""

    @property
    def location(self) -> str:
        """The address, as s3://bucket/key."""

    @property
    def size(self) -> int | None:
        """The size in bytes."""

    @property
    def sha256(self) -> str | None:
        """The SHA-256 of the complete object."""

    @property
    def etag(self) -> str | None:
        """The ETag at the put; None if it was not recorded."""

    @property
    def version_id(self) -> str | None:
        """The version at the put; None if there was none, or it was not recorded."""


class MissingObjectError(RefusedError):
    """A record's object is no longer in the store, or is another one."""


def prove_stored(bucket: Bucket, archive: StoredArchive) -> None:
    """Raise MissingObjectError unless a record's object is in the store as it was put.

    An object with another ETag or version, or without a recorded one, is fetched and hashed: it may have been put back.
    Raises StorageError if the store can't be asked.
    """
    if error := _difference(bucket, archive, bucket.object(bucket.key(archive.location))):
        raise error


def missing_objects(bucket: Bucket, archives: Sequence[StoredArchive]) -> dict[str, MissingObjectError]:
    """Return the objects that are not in the store as they were put, each with its error, by location.

    Raises StorageError if the store can't be asked.
    """
    objects = _objects(bucket, [archive.location for archive in archives])
    errors = {archive.location: _difference(bucket, archive, objects.get(archive.location)) for archive in archives}
    return {location: error for location, error in errors.items() if error}


def _objects(bucket: Bucket, locations: Sequence[str]) -> Mapping[str, StoredObject | None]:
    keys = {location: bucket.key(location) for location in locations}
    if len(keys) <= FEW:
        return {location: bucket.object(key) for location, key in keys.items()}
    folders = {key.partition("/")[0] for key in keys.values()}
    return {
        stored.location: stored
        for folder in sorted(folders)
        for stored in bucket.objects(f"{folder}/")
        if stored.location in keys
    }


def _difference(bucket: Bucket, archive: StoredArchive, stored: StoredObject | None) -> MissingObjectError | None:
    """Return the error for an object that is not as it was put; None if it is."""
    if stored is None:
        return _missing(f"{archive.location} is no longer in the store")
    if archive.size != stored.size or not (_same_names(archive, stored) or _same_content(bucket, archive)):
        return _missing(f"{archive.location} is not the object that was stored")
    return None


def _same_names(archive: StoredArchive, stored: StoredObject) -> bool:
    # A list has no versions.
    same_version = None in (archive.version_id, stored.version_id) or archive.version_id == stored.version_id
    return archive.etag == stored.etag and same_version


def _same_content(bucket: Bucket, archive: StoredArchive) -> bool:
    return bucket.digests(bucket.key(archive.location), archive.size or 0).sha256 == archive.sha256


def _missing(sentence: str) -> MissingObjectError:
    return MissingObjectError(
        f"{sentence}; nothing that it holds is deleted from the live databases.",
        hint="A person or a rule of the bucket did that. Look for an older version of it; then run the same command.",
    )
