"""A move: a tenant's rows of a shard, on their way to another."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

from archiver.kinds.tarball import prove_tarball, reencrypt_tarball
from archiver.postgres.session import Session
from archiver.records.archives import ArchiveRecord
from archiver.records.state import Kind, State
from archiver.runs.context import Archiver, new_location
from errors import RefusedError


class ShardMoveKind:
    """A tenant's rows, read from the source. Once a move has ended, they are live in the target."""

    kind = Kind.MOVE
    one_tarball = True
    openable: tuple[State, ...] = ()

    def label(self, noun: str, record: ArchiveRecord) -> str:
        """Return the name of a move: `move of school 13 from shard_1`."""
        return f"move of {noun} {record.key} from {record.shard}"

    def ends_with(self, record: ArchiveRecord) -> str:
        """Return how an interrupted run is ended."""
        return "run the interrupted command again."

    def prove(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> int:
        """Verify it again. Return the number of rows."""
        return prove_tarball(archiver, record, archiver.model, work)

    def reencrypt(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> ArchiveRecord:
        """Re-encrypt it. Return its record."""
        return reencrypt_tarball(archiver, record, new_location(archiver, record.year, record.key), work)

    def goes_with(self, master: Session, noun: str, record: ArchiveRecord, without: Collection[str]) -> NoReturn:
        """Raise RefusedError: it is not dropped."""
        raise RefusedError(
            f"Dropping {self.label(noun, record)} refused: its record says where the rows went, and with which ids.",
            hint="inv archive.list --unreferenced names its object once the move has ended; delete it there.",
        )

    def drop(self, archiver: Archiver, record: ArchiveRecord, without: Collection[str]) -> NoReturn:
        """Raise RefusedError: it is not dropped."""
        self.goes_with(archiver.databases.master, archiver.model.tenant.noun, record, without)
