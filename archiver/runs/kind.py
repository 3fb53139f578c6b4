"""An archive together with its kind: what runs over archives of all kinds ask of one. archiver/kinds/ has the kinds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from archiver.format import encryption, layout
from archiver.postgres.session import Session
from archiver.records import archives
from archiver.records.archives import ArchiveRecord
from archiver.records.state import LIVE_AGAIN, Kind, State
from archiver.runs.context import Archiver
from archiver.runs.drop import Dropped, DroppedMonths
from errors import RefusedError


class ArchiveKind(Protocol):
    """The acts and words that differ by kind; the states of each kind are in archiver/records/state.py."""

    @property
    def kind(self) -> Kind:
        """The word of the ledger, and the life cycle."""

    @property
    def one_tarball(self) -> bool:
        """True if its object is one archive, which can be opened by itself."""

    @property
    def openable(self) -> Collection[State]:
        """The states in which rows may be in the object alone: it is verified again, and re-encrypted."""

    def label(self, noun: str, record: ArchiveRecord) -> str:
        """Return the name of an archive: `school 13 of 2013`."""

    def ends_with(self, record: ArchiveRecord) -> str:
        """Return how an interrupted run is ended."""

    def prove(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> int:
        """Fetch, restore into scratch, compare, and record the time. Return the number of rows."""

    def reencrypt(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> ArchiveRecord:
        """Store it anew, encrypted to the current recipients, verify that, and point the record there. Return it."""

    def goes_with(self, master: Session, noun: str, record: ArchiveRecord, without: Collection[str]) -> DroppedMonths:
        """Return what is dropped with it; `without` names months that stay. Raise RefusedError if it can't be dropped.

        Raises Problems if `without` names others.
        """

    def drop(self, archiver: Archiver, record: ArchiveRecord, without: Collection[str]) -> Dropped:
        """Delete its object with all versions, then the record, with log entries, and what goes with it.

        The caller holds the exclusive lock, and the operator has typed the name of its file. If interrupted, the same
        call finishes it. Raises what `goes_with` does.
        """


@dataclass(frozen=True, kw_only=True)
class ArchiveOfKind:
    """An archive, and its kind."""

    kind: ArchiveKind
    record: ArchiveRecord

    def label(self, noun: str) -> str:
        """Return its name: `school 13 of 2013`."""
        return self.kind.label(noun, self.record)

    @property
    def size(self) -> int | None:
        """The bytes of its object."""
        return self.record.size

    @property
    def openable_name(self) -> str:
        """Its location, with the suffix that shows if an identity is required: of a month the slices are encrypted."""
        location = self.record.location
        closed = self.record.recipients and not encryption.is_encrypted(location)
        return f"{location}{layout.ENCRYPTED}" if closed else location


def still_archived(archiver: Archiver, archive: ArchiveOfKind) -> ArchiveOfKind:
    """Return an archive, read again under the lock; raise RefusedError unless it is still archived."""
    kind, label = archive.kind, archive.label(archiver.model.tenant.noun)
    for now in archives.of_kind(archiver.databases.master, kind.kind, "id = %s", (archive.record.id,)):
        if now.state is State.ARCHIVED:
            return ArchiveOfKind(kind=kind, record=now)
        if now.state in LIVE_AGAIN:
            raise RefusedError(f"Re-encrypting {label} refused: it is {now.state.value}, and its rows are live.")
        raise RefusedError(
            f"Re-encrypting {label} refused: it is {now.state.value}, by a run that was interrupted.",
            hint=f"Finish that first: {kind.ends_with(now)}",
        )
    raise RefusedError(f"Re-encrypting {label} refused: it is not archived any more.")
