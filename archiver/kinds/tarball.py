"""Verify archives again, and re-encrypt them, whose object is one tarball: the kinds share it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from archiver.catalog.model import Model
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.postgres.session import Session
from archiver.records import archives, markers
from archiver.records.archives import ArchiveRecord
from archiver.records.markers import DELETED, MOVED_IN, MOVED_OUT
from archiver.runs.context import Archiver, opened
from archiver.runs.tarballs import reencrypted
from archiver.verify.verify import verify


def prove_tarball(
    archiver: Archiver,
    record: ArchiveRecord,
    model: Model,
    work: Path,
    besides: Callable[[Session, Archive], None] = lambda master, archive: None,
) -> int:
    """Fetch, restore into scratch, compare, and record the time. Return the number of rows.

    `besides` writes what else goes with it, in the same transaction.
    """
    master = archiver.databases.master
    with opened(archiver, work, record) as archive:
        verify(archive, record.key, record.year, archiver.scratch, model)
        with master.transaction(doing="writing the proof"):
            archives.reverified(master, record)
            besides(master, archive)
        return archive.manifest.rows


def reencrypt_tarball(
    archiver: Archiver,
    record: ArchiveRecord,
    location: str,
    work: Path,
    besides: Callable[[Session, ArchiveRecord], None] = lambda master, stored: None,
) -> ArchiveRecord:
    """Store it anew, encrypted to the current recipients, verify that, and point markers and record there. Return it.

    `besides` writes what else goes with it, in the same transaction.
    """
    master, name = archiver.databases.master, layout.file_name(location).removesuffix(layout.ENCRYPTED)
    stored = reencrypted(archiver, record, location, work / name)
    markers.relocate(archiver.databases, stored, (DELETED, MOVED_IN, MOVED_OUT))
    with master.transaction(doing=f"moving the record of {name}"):
        archives.rewritten(master, record.kind, stored)
        besides(master, stored)
    return stored
