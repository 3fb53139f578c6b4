"""Find archives in the store that no record refers to, left by failed extractions, or by restores that keep them."""

from __future__ import annotations

from archiver.format import layout
from archiver.postgres.databases import Databases
from archiver.records.locations import every_location
from archiver.store.bucket import Bucket, StoredObject


def unreferenced_objects(bucket: Bucket, databases: Databases) -> tuple[StoredObject, ...]:
    """Return the archives that no record refers to, by location.

    Takes the exclusive lock: a running command may be about to point a record to a new object. Raises LockedError if
    another session is at work.
    """
    with databases.exclusive_lock():
        return unnamed_objects(bucket, databases)


def unnamed_objects(bucket: Bucket, databases: Databases) -> tuple[StoredObject, ...]:
    """Return the archives that no record refers to now, by location; a run may be about to refer to one of them."""
    stored_objects = sorted(bucket.objects(), key=lambda stored: stored.location)
    named = every_location(databases.master)
    archives = [stored for stored in stored_objects if layout.is_archive(bucket.key(stored.location))]
    return tuple(stored for stored in archives if stored.location not in named)
