"""Objects of the store that no record names: left by a failed extraction, or by a restore that keeps the tarball."""

from __future__ import annotations

from archiver import layout, records
from archiver.activity import months
from archiver.moving import moves
from archiver.purging import record as purges
from archiver.storage import Bucket, Stored
from archiver.workplace import Workplace


def orphans(bucket: Bucket, place: Workplace) -> tuple[Stored, ...]:
    """The archives that no record names, by location.

    Nobody else may be at work meanwhile: a record may be about to move to an object that none names yet.
    Raises LockedError where somebody is.
    """
    with place.alone():
        there = sorted(bucket.objects(), key=lambda stored: stored.location)
        named = {record.location for record in records.read_if_any(place.master)}
        named |= {move.location for move in moves.unfinished(place.master)}
        named |= {month.location for month in months.every(place.master)}
        named |= {purge.location for purge in purges.every(place.master)}
    archives = [stored for stored in there if layout.is_archive(bucket.key(stored.location))]
    return tuple(stored for stored in archives if stored.location not in named)
