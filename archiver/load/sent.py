"""Members of an archive on their way into tables: each is held to its SHA-256 as PostgreSQL reads it."""

from __future__ import annotations

from archiver.catalog.model import TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.hashed import HashedSource
from archiver.format.money import read_as_written
from archiver.postgres.session import Composable, Session
from errors import DamagedError


def send(session: Session, target: Composable, archive: Archive, source: TableName, *, doing: str) -> int:
    """Copy a table's member into `table (columns)`. Return the number of rows.

    Raises DamagedError if what was read is not the member that the manifest names.
    """
    member = layout.member(source)
    read_as_written(session, archive.manifest, source)
    with archive.open(member) as opened:
        sent = HashedSource(opened.read)
        rows = session.copy_in(target, sent, doing=doing)
    if sent.sha256 != archive.manifest.members[member].sha256:
        raise DamagedError(f"{archive.name}: the member {member} changed after it was opened; nothing of it is loaded.")
    return rows
