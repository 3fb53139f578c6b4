"""A purge: legacy users of master, archived together."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from archiver.checks.purge_tables import model_of
from archiver.kinds.tarball import prove_tarball, reencrypt_tarball
from archiver.postgres.session import Session
from archiver.records.archives import ArchiveRecord
from archiver.records.state import Kind, State
from archiver.runs.context import Archiver
from archiver.runs.purge import new_location
from errors import RefusedError


class LegacyUsersKind:
    """Users of master who belong to no tenant. The record of a purge is never deleted."""

    kind = Kind.PURGE
    one_tarball = True
    openable = (State.ARCHIVED,)

    def label(self, noun: str, record: ArchiveRecord) -> str:
        """Return the name of a purge: `purge 7 of 2013`."""
        return f"purge {record.key} of {record.year}"

    def ends_with(self, record: ArchiveRecord) -> str:
        """Return how an interrupted run is ended."""
        return "inv users.purge-legacy"

    def prove(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> int:
        """Verify it again. Return the number of rows."""
        return prove_tarball(archiver, record, model_of(archiver.model), work)

    def reencrypt(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> ArchiveRecord:
        """Re-encrypt it. Return its record."""
        return reencrypt_tarball(archiver, record, new_location(archiver, record.year, record.id), work)

    def goes_with(self, master: Session, noun: str, record: ArchiveRecord, without: Collection[str]) -> NoReturn:
        """Raise RefusedError: it is not dropped."""
        raise RefusedError(
            f"Dropping {self.label(noun, record)} refused: its record is never deleted: it says which users went.",
            hint=f"inv users.restore-legacy {record.key} brings them back.",
        )

    def drop(self, archiver: Archiver, record: ArchiveRecord, without: Collection[str]) -> NoReturn:
        """Raise RefusedError: it is not dropped."""
        self.goes_with(archiver.databases.master, archiver.model.tenant.noun, record, without)
