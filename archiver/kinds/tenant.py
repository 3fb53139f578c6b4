"""A tenant's archive of a year: all its rows."""

from __future__ import annotations

from pathlib import Path

from archiver.format.bundle import Archive
from archiver.kinds.tarball import prove_tarball, reencrypt_tarball
from archiver.postgres.session import Session
from archiver.records import archive_record, audit_log, id_index
from archiver.records.archives import ArchiveRecord
from archiver.records.state import Kind, State
from archiver.runs.context import Archiver, new_location


class TenantKind:
    """All rows of a tenant in a year."""

    kind = Kind.TENANT
    openable = (State.DELETING, State.ARCHIVED, State.RESTORING)

    def label(self, noun: str, record: ArchiveRecord) -> str:
        """Return the name of an archive: `school 13 of 2013`."""
        return archive_record.label(noun, record.key, record.year)

    def ends_with(self, record: ArchiveRecord) -> str:
        """Return how an interrupted run is ended."""
        return "run the interrupted command again."

    def prove(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> int:
        """Verify it again, with an entry of the log. Return the number of rows."""

        def besides(master: Session, archive: Archive) -> None:
            _index(master, record, archive)
            details = {"rows": archive.manifest.rows, "size": record.size, "sha256": record.sha256}
            audit_log.log(master, "verify", record, details)

        return prove_tarball(archiver, record, archiver.model, work, besides)

    def reencrypt(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> ArchiveRecord:
        """Re-encrypt it, with an entry of the log. Return its record."""

        def besides(master: Session, stored: ArchiveRecord) -> None:
            details = {"from": record.location, "to": stored.location, "recipients": stored.recipients}
            audit_log.log(master, "rewrap", stored, {**details, "sha256": stored.sha256})

        location = new_location(archiver, record.year, record.key)
        return reencrypt_tarball(archiver, record, location, work, besides)


def _index(master: Session, record: ArchiveRecord, archive: Archive) -> None:
    """Write the id index of an archive made by an older version of this tool, if it has none."""
    for unindexed in id_index.missing(master):
        if unindexed.id == record.id:
            id_index.write(master, unindexed, id_index.ids_in(archive))
