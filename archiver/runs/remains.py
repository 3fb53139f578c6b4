"""The remains in the store of a tenant whose archive is dropped: other objects, and versions of the deleted one."""

from __future__ import annotations

from archiver.format import layout
from archiver.records.locations import every_location
from archiver.runs.context import Archiver
from archiver.store.bucket import Bucket, StorageError, StoredObject
from inventory.keys import Key


def delete_for_good(bucket: Bucket, key: str) -> str:
    """Delete an object with all its versions. Return why versions of it stay or may stay; empty if none does."""
    bucket.delete(key)
    try:
        if bucket.versioned():
            bucket.delete_versions(key)
    except StorageError as error:
        return str(error)
    return ""


def unreferenced_of(archiver: Archiver, tenant_id: Key) -> tuple[StoredObject, ...]:
    """Return the tenant's objects of all years that no record names, such as archives that were restored."""
    bucket, named = archiver.bucket, every_location(archiver.databases.master)
    years = [folder for folder in bucket.folders() if folder.isdigit()]
    stored_objects = (stored for year in years for stored in bucket.objects(layout.tenant_folder(year, tenant_id)))
    return tuple(stored for stored in stored_objects if stored.location not in named)
