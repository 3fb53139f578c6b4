"""The locations of all objects that records name, of every kind of archive."""

from __future__ import annotations

from archiver.postgres.session import Session
from archiver.records import archives


def every_location(master: Session) -> frozenset[str]:
    """Return the location of each archive that a record needs; empty if nothing was ever archived."""
    return frozenset(each.location for each in archives.every(master) if each.needed)
