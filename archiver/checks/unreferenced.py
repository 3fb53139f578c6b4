"""Objects of the store that no record names: left by a failed extraction, or by a restore that keeps the tarball."""

from __future__ import annotations

from archiver.format import layout
from archiver.postgres.databases import Databases
from archiver.records import archive_record, month_record, move_record
from archiver.records import purge_record as purges
from archiver.store.bucket import Bucket, StoredObject


def unreferenced_objects(bucket: Bucket, databases: Databases) -> tuple[StoredObject, ...]:
    """The archives that no record names, by location.

    Nobody else may be at work meanwhile: a record may be about to move to an object that none names yet.
    Raises LockedError where somebody is.
    """
    with databases.exclusive_lock():
        there = sorted(bucket.objects(), key=lambda stored: stored.location)
        named = {record.location for record in archive_record.read_if_any(databases.master)}
        named |= {move.location for move in move_record.interrupted(databases.master)}
        named |= {month.location for month in month_record.every(databases.master)}
        named |= {purge.location for purge in purges.every(databases.master)}
    archives = [stored for stored in there if layout.is_archive(bucket.key(stored.location))]
    return tuple(stored for stored in archives if stored.location not in named)
