"""Compare the ledger with the store: archives that no record names, and records that have no object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archiver.format import layout
from archiver.postgres.databases import Databases
from archiver.records import archives
from archiver.records.archives import ArchiveRecord
from archiver.records.state import State
from archiver.store.bucket import Bucket, StoredObject


@dataclass(frozen=True, kw_only=True)
class Unrecorded:
    """The archives that only the store has, and the records that only the ledger has."""

    objects: Sequence[StoredObject]  # archives, the oldest extraction first
    records: Sequence[ArchiveRecord]  # whose object is not in the store


def unrecorded(bucket: Bucket, databases: Databases) -> Unrecorded:
    """Return what only one of ledger and store has. The caller holds the exclusive lock.

    A record that is only extracting, or planned, names no object yet: if there is one, master may have been set back.
    """
    begun = (State.EXTRACTING, State.PLANNED)
    records = [each for each in archives.every(databases.master) if each.state not in begun]
    named, stored = {each.location for each in records}, set[str]()
    objects = []
    for each in bucket.objects():
        if layout.is_archive(bucket.key(each.location)):
            stored.add(each.location)
            if each.location not in named:
                objects.append(each)
    return Unrecorded(
        objects=sorted(objects, key=lambda each: (each.location.split("/")[-2], each.location)),
        records=[each for each in records if each.needed and each.sha256 and each.location not in stored],
    )
