"""The locations of all objects that records name, of every kind of archive."""

from __future__ import annotations

from archiver.postgres.session import Session
from archiver.records import archive_record, month_record, move_record, purge_record


def every_location(master: Session) -> frozenset[str]:
    """Return the location of each archive that a record needs; empty if nothing was ever archived."""
    kinds = (
        archive_record.read_if_any(master),
        move_record.interrupted(master),
        month_record.every(master),
        purge_record.every(master),
    )
    return frozenset(record.location for records in kinds for record in records)
