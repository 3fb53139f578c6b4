"""The results of dropping an archive, whatever its kind, and the conditions that must hold before."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from archiver.format import layout
from archiver.records import archives
from archiver.records.archives import ArchiveRecord
from archiver.records.slice_record import Slice
from archiver.runs.context import Archiver
from archiver.runs.settle import settle
from archiver.store.bucket import StoredObject
from errors import RefusedError, UsageError


@dataclass(frozen=True, kw_only=True)
class Superseded:
    """An object of a month that a drop, cut off since, wrote anew without the school's rows."""

    record_id: int  # of the month
    month: str
    location: str


@dataclass(frozen=True, kw_only=True)
class DroppedMonths:
    """The slices of months that go with an archive."""

    slices: tuple[Slice, ...] = ()  # the latest first
    superseded: tuple[Superseded, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """The end of a drop: the months that lost rows, and the remains in the store of the tenant."""

    months: tuple[Slice, ...]
    versions_stay: str  # why versions of objects stay or may stay; empty: there are none
    unreferenced: tuple[StoredObject, ...] = ()  # other objects of the tenant, of all years, that no record names
    months_left: int = 0  # archives of past months that retain rows of the tenant


def refuse_unless_named(record: ArchiveRecord, name: str) -> None:
    """Raise UsageError unless the operator typed the name of the archive's file."""
    expected = layout.file_name(record.location)
    if name != expected:
        said = f"got {name!r}" if name else "got nothing"
        raise UsageError(
            f"Nothing was dropped: expected the tarball's name, {expected}, {said}.",
            hint="Without a terminal, give it with --tarball=…",
        )


def settle_to_drop(archiver: Archiver, record: ArchiveRecord, shards: Collection[str]) -> None:
    """Settle what was set back on these shards; raise RefusedError if the record, read now, is another one.

    The caller holds the exclusive lock.
    """
    settle(archiver, shards)
    now = archives.of_kind(archiver.databases.master, record.kind, "id = %s", (record.id,))
    if not now or (now[0].state, now[0].location) != (record.state, record.location):
        name = layout.file_name(record.location)
        raise RefusedError(f"The record of {name} changed in the meantime; nothing was dropped.")
