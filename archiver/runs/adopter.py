"""The resources of a look at archives that no record names, and what markers and log say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

from archiver.format.encryption import Keys
from archiver.postgres.databases import Databases
from archiver.records.claims import ArchiveClaim
from archiver.records.markers import DELETED
from archiver.store.bucket import Bucket, StoredObject


@dataclass(frozen=True, kw_only=True)
class Adopter:
    """The resources of a look at the store, and what it found there."""

    databases: Databases
    bucket: Bucket
    keys: Keys
    work: Path
    zone: ZoneInfo
    objects: Sequence[StoredObject]
    claims: Mapping[str, Sequence[ArchiveClaim]]  # by location
    closed: frozenset[str]  # locations of archives that were restored or dropped, by master's log

    def open_claim(self, location: str) -> ArchiveClaim | None:
        """Return the marker of a deletion whose rows are in this archive alone."""
        if location in self.closed:
            return None
        return next((each for each in self.claims.get(location, ()) if each.open), None)

    def is_closed(self, location: str) -> bool:
        """True if its rows came back since they were deleted, or it was dropped."""
        of_object = self.claims.get(location, ())
        return location in self.closed or (bool(of_object) and not any(each.open for each in of_object))

    def moves(self, location: str) -> list[ArchiveClaim]:
        """Return the markers of a move whose rows are in this archive."""
        return [each for each in self.claims.get(location, ()) if each.act != DELETED]

    def moves_of_same_tenant(self, stored: StoredObject) -> list[ArchiveClaim]:
        """Return the markers of moves of the same tenant that master has no record of, in the order of their turns."""
        locations = (
            each.location for each in self.objects if _tenant_part(each.location) == _tenant_part(stored.location)
        )
        moves = (each for location in locations for each in self.moves(location))
        return sorted(moves, key=lambda each: each.turn or 0)

    def has(self, location: str) -> bool:
        """True if the store has an object there."""
        return self.bucket.object(self.bucket.key(location)) is not None

    def named(self, location: str) -> str:
        """Return an address, as a message names it."""
        return location if self.has(location) else f"{location} (not in the store)"

    def rivals(self, stored: StoredObject) -> list[StoredObject]:
        """Return the other objects of the same tenant and year that may hold its rows."""
        folder = _folder(stored.location)
        others = (each for each in self.objects if each != stored and _folder(each.location) == folder)
        return [each for each in others if not self.is_closed(each.location)]


def _tenant_part(location: str) -> str:
    """Return what the objects of a tenant have in common, of all years."""
    return location.split("/")[-3]


def _folder(location: str) -> str:
    """Return what the objects of a tenant's archives of one year have in common."""
    return location.rsplit("/", 2)[0]
