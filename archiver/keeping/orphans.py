"""Objects of the store that no record names: left by a failed extraction, or by a restore that keeps the tarball."""

from __future__ import annotations

from archiver import layout, records
from archiver.postgres import Session
from archiver.storage import Bucket, Stored


def orphans(bucket: Bucket, master: Session) -> tuple[Stored, ...]:
    """The objects that no record names, by location; schemas, which archives name by their fingerprints, are none.

    The store is listed first: a record names its object before the object is there, so none at work is listed.
    """
    there = sorted(bucket.objects(), key=lambda stored: stored.location)
    named = {record.location for record in records.read_if_any(master)}
    schemas = bucket.location(layout.SCHEMAS)
    return tuple(stored for stored in there if stored.location not in named and not stored.location.startswith(schemas))
