"""A tenant's archive of a year: all its rows."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from archiver.format.bundle import Archive
from archiver.kinds.drop_months import drop_slices, dropped_months, refuse_lost
from archiver.kinds.tarball import prove_tarball, reencrypt_tarball
from archiver.postgres.session import Session
from archiver.records import archive_record, audit_log, id_index, retained_rows, shard_keys, slice_record
from archiver.records.archive_record import Record
from archiver.records.archives import ArchiveRecord
from archiver.records.state import Kind, State
from archiver.runs.context import Archiver, new_location
from archiver.runs.drop import Dropped, DroppedMonths, settle_to_drop
from archiver.runs.remains import delete_for_good, unreferenced_of


class TenantKind:
    """All rows of a tenant in a year."""

    kind = Kind.TENANT
    one_tarball = True
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

    def goes_with(self, master: Session, noun: str, record: ArchiveRecord, without: Collection[str]) -> DroppedMonths:
        """Return the slices of past months that are dropped with it."""
        return dropped_months(master, noun, record, without)

    def drop(self, archiver: Archiver, record: ArchiveRecord, without: Collection[str]) -> Dropped:
        """Take the rows out of the year's months, delete the object for good, then the record, with log entries.

        Raises, before anything is changed, RefusedError, DamagedError or StorageError if a month can't lose its rows.
        """
        master, noun = archiver.databases.master, archiver.model.tenant.noun
        of_year = slice_record.of_year(master, record.key, record.year)
        settle_to_drop(archiver, record, {record.shard, *(each.month.shard for each in of_year)})
        months = self.goes_with(master, noun, record, without)
        refuse_lost(archiver, record, months)
        stay = drop_slices(archiver, months)
        stay.append(delete_for_good(archiver.bucket, archiver.bucket.key(record.location)))
        _delete_record(archiver, archive_record.by_id(master, record.id))
        return Dropped(
            months=months.slices,
            versions_stay=" ".join(dict.fromkeys(filter(None, stay))),
            unreferenced=unreferenced_of(archiver, record.key),
            months_left=len(slice_record.of_tenant(master, record.key)),
        )


def _index(master: Session, record: ArchiveRecord, archive: Archive) -> None:
    """Write what the index of ids lacks of an archive that an older version of this tool made."""
    id_index.write(master, record, id_index.ids_in(archive))


def _delete_record(archiver: Archiver, record: Record) -> None:
    """Delete the record and its index of ids, together with a log entry."""
    master = archiver.databases.master
    with master.transaction(doing=f"dropping {record.tarball}"):
        archive_record.delete(master, record)
        retained_rows.drop(master, record)
        retained_rows.forget(master)
        details = {**_details(record), **audit_log.closing(record, record.location, record.shard)}
        audit_log.log(master, "drop", record, details)
    if record.shard in archiver.databases.shards:
        shard_keys.forget(archiver.databases.session(record.shard), record)


def _details(record: Record) -> dict[str, object]:
    names = ("location", "rows", "size", "md5", "sha256")
    return {"state": record.state.value, **{name: getattr(record, name) for name in names}, "kept": dict(record.kept)}
