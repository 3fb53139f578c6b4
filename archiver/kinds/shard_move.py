"""A move: a tenant's rows of a shard, on their way to another."""

from __future__ import annotations

from pathlib import Path

from archiver.kinds.tarball import prove_tarball, reencrypt_tarball
from archiver.records.archives import ArchiveRecord
from archiver.records.state import Kind, State
from archiver.runs.context import Archiver, new_location


class ShardMoveKind:
    """A tenant's rows, read from the source. Once a move has ended, they are live in the target."""

    kind = Kind.MOVE
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
