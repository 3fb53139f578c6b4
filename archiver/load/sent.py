"""Members of an archive on their way into tables: each is held to its SHA-256 as PostgreSQL reads it."""

from __future__ import annotations

import hashlib
from typing import IO

from archiver.catalog.model import TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.money import read_as_written
from archiver.postgres.session import Composable, Session
from errors import DamagedError


class _Sent:
    """A source for COPY that digests what is read from it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes."""
        data = self._source.read(size)
        self._hash.update(data)
        return data

    def readline(self, size: int = -1, /) -> bytes:
        """Return the next bytes: COPY does not need lines."""
        return self.read(size)

    @property
    def sha256(self) -> str:
        """The SHA-256 of everything read so far."""
        return self._hash.hexdigest()


def send(session: Session, target: Composable, archive: Archive, source: TableName, *, doing: str) -> int:
    """Copy a table's member into `table (columns)`. Return the number of rows.

    Raises DamagedError if what was read is not the member that the manifest names.
    """
    member = layout.member(source)
    read_as_written(session, archive.manifest, source)
    with archive.open(member) as opened:
        sent = _Sent(opened)
        rows = session.copy_in(target, sent, doing=doing)
    if sent.sha256 != archive.manifest.members[member].sha256:
        raise DamagedError(f"{archive.name}: the member {member} changed after it was opened; nothing of it is loaded.")
    return rows
