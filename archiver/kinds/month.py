"""Past months' activity of a shard: an object with a slice for each tenant."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from archiver.catalog.activity_rules import rules
from archiver.kinds.drop_months import drop_month
from archiver.kinds.reencrypt_month import reencrypt_month
from archiver.postgres.session import Session
from archiver.records import archives, month_record, slice_record
from archiver.records.archives import ArchiveRecord
from archiver.records.state import Kind, State
from archiver.runs import month_object, rewrite_month
from archiver.runs.context import Archiver
from archiver.runs.drop import Dropped, DroppedMonths, settle_to_drop
from archiver.runs.returning import refuse_unknown_months


class MonthKind:
    """Past months' activity, with a slice for each tenant: an archive by itself."""

    kind = Kind.MONTH
    one_tarball = False
    openable = (State.DELETING, State.ARCHIVED)

    def label(self, noun: str, record: ArchiveRecord) -> str:
        """Return the name of an archive: `activity of 2014-09, shard_1`."""
        return f"activity of {record.key}, {record.shard}"

    def ends_with(self, record: ArchiveRecord) -> str:
        """Return how an interrupted run is ended."""
        return "inv activity.archive"

    def prove(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> int:
        """Fetch, restore every slice that is still in it into scratch, compare, and record the time."""
        [month] = month_record.of_ids(archiver.databases.master, [record.id])
        of_month = slice_record.of_archive(archiver.databases.master, month)
        with month_object.opened(month_object.fetch_all(archiver, month, of_month, work), archiver) as slices:
            for month_slice, archive in zip(of_month, slices, strict=True):
                month_object.belongs_to(archive, month_slice)
            month_object.prove(slices, archiver, rules(archiver.model))
            archives.reverified(archiver.databases.master, record)
            return sum(archive.manifest.rows for archive in slices)

    def reencrypt(self, archiver: Archiver, record: ArchiveRecord, work: Path) -> ArchiveRecord:
        """Store every slice anew, encrypted to the current recipients, verify, and point the records there."""
        [month] = month_record.of_ids(archiver.databases.master, [record.id])
        reencrypt_month(archiver, month, work)
        [now] = archives.of_kind(archiver.databases.master, Kind.MONTH, "id = %s", (record.id,))
        return now

    def goes_with(self, master: Session, noun: str, record: ArchiveRecord, without: Collection[str]) -> DroppedMonths:
        """Return its slices: all are dropped with it. Raise RefusedError if its run was interrupted."""
        refuse_unknown_months(f"Nothing was dropped of the {self.label(noun, record)}", without, ())
        [month] = month_record.of_ids(master, [record.id])
        rewrite_month.refuse_unfinished(month)
        return DroppedMonths(slices=slice_record.of_archive(master, month))

    def drop(self, archiver: Archiver, record: ArchiveRecord, without: Collection[str]) -> Dropped:
        """Delete the object for good, then the record with every slice, with log entries."""
        settle_to_drop(archiver, record, {record.shard})
        slices = self.goes_with(archiver.databases.master, archiver.model.tenant.noun, record, without).slices
        [month] = month_record.of_ids(archiver.databases.master, [record.id])
        return Dropped(months=slices, versions_stay=drop_month(archiver, month, slices))
