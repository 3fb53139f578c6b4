"""Drop months: the slices of a school whose archive is dropped, or a month with all that are in it.

Of a school, each object is written anew without its slice: the others keep their bytes. The earlier object is deleted
once the record no longer names it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial

from archiver.catalog.model import MASTER
from archiver.format.spool_folder import work_folder
from archiver.postgres.session import Session
from archiver.records import audit_log, month_record, shard_keys, slice_record
from archiver.records.archives import ArchiveRecord
from archiver.records.month_record import Month
from archiver.records.slice_record import Slice
from archiver.records.state import State
from archiver.runs import month_object, rewrite_month
from archiver.runs.context import Archiver
from archiver.runs.drop import DroppedMonths, Superseded
from archiver.runs.remains import delete_for_good
from archiver.runs.returning import refuse_unknown_months
from inventory.keys import typed

_ACT = "drop activity"


def dropped_months(master: Session, noun: str, record: ArchiveRecord, without: Collection[str] = ()) -> DroppedMonths:
    """Return what goes with an archive: the slices of its school year, unless the school's rows are live.

    Raises Problems if `without` names a month that has none, RefusedError if a month's run was interrupted.
    """
    of_year = slice_record.of_year(master, record.tenant_id, record.year) if record.state is State.ARCHIVED else ()
    superseded = _superseded(master, record)
    months = {*(each.month.month for each in of_year), *(each.month for each in superseded)}
    refuse_unknown_months(f"Nothing was dropped of {noun} {record.tenant_id} of {record.year}", without, months)
    slices = tuple(each for each in of_year if each.month.month not in without)
    for each in slices:
        rewrite_month.refuse_unfinished(each.month)
    return DroppedMonths(slices=slices, superseded=tuple(each for each in superseded if each.month not in without))


def refuse_lost(archiver: Archiver, record: ArchiveRecord, dropped: DroppedMonths) -> None:
    """Raise one error for all months whose objects are not in the store as they were put: before anything is changed.

    It is DamagedError or StorageError, and says how to do without these months.
    """
    present = month_record.of_ids(archiver.databases.master, [each.record_id for each in dropped.superseded])
    months = dict.fromkeys([*(each.month for each in dropped.slices), *present])
    command = f"inv archive.drop-archive {typed(record.tenant_id)} --year={record.year}"
    left = "(their objects and records stay)."
    reads = ((month, partial(month_object.refuse_unless_stored, archiver, month)) for month in months)
    month_object.all_or_lost(archiver, reads, lambda lost: f" Without it: {command} --without-month={lost} {left}")


def drop_slices(archiver: Archiver, dropped: DroppedMonths) -> list[str]:
    """Take the slices out of their objects and delete the earlier objects for good; also those of a cut off drop.

    Return why versions of them stay or may stay. The caller holds the exclusive lock. If interrupted, the same call
    finishes it: the log names the objects that no record names any more.
    """
    bucket = archiver.bucket
    stay = [delete_for_good(bucket, bucket.key(each.location)) for each in dropped.superseded]
    for each in dropped.slices:
        _take_out(archiver, each)
        stay.append(delete_for_good(bucket, bucket.key(each.month.location)))
    return [each for each in stay if each]


def drop_month(archiver: Archiver, month: Month, slices: Sequence[Slice]) -> str:
    """Delete a month's object for good, then its record with all slices, with log entries.

    Return why versions of it stay or may stay. The caller holds the exclusive lock. If interrupted, the same call
    finishes it.
    """
    databases = archiver.databases
    stays = delete_for_good(archiver.bucket, archiver.bucket.key(month.location))
    with databases.master.transaction(doing=f"dropping {month.month} of {month.shard}"):
        for each in slices:
            slice_record.delete(databases.master, each)
        audit_log.log_all(databases.master, _ACT, slices, list(map(_details, slices)))
    if month.shard in (MASTER, *databases.shards):
        shard_keys.forget(databases.session(month.shard), month)
    return stays


def _take_out(archiver: Archiver, month_slice: Slice) -> None:
    """Store the object without a slice and verify it; then switch markers and records, with a log entry.

    A month whose last slice goes has no object any more, and no record.
    """
    master, month = archiver.databases.master, month_slice.month
    with work_folder(archiver.work) as work:
        files = rewrite_month.fetch_slices(archiver, month, work)
        others = [each for each in files if each.slice.tenant_id != month_slice.tenant_id]
        rewritten = rewrite_month.store(archiver, month, month.recipients, others, work) if others else None
    with master.transaction(doing=f"dropping a slice of {month.month} of {month.shard}"):
        if rewritten:
            rewrite_month.point_to(archiver.databases, rewritten)
        slice_record.delete(master, month_slice)
        to = rewritten.month.location if rewritten else None
        audit_log.log(master, _ACT, month_slice, {**_details(month_slice), "to": to})


def _details(month_slice: Slice) -> dict[str, object]:
    month = month_slice.month
    details = {"month": month.month, "rows": month_slice.deleted_rows, "sha256": month_slice.sha256}
    return {**details, **audit_log.closing(month, month.location, month.shard)}


def _superseded(master: Session, record: ArchiveRecord) -> tuple[Superseded, ...]:
    """Return the objects that drops of this archive wrote anew, since one ended: the last was cut off.

    An entry of a month that was dropped with all slices does not say `to` what: its object was deleted before.
    """
    entries = audit_log.entries(master, record.tenant_id, record.year)
    ended = max((each.id for each in entries if each.act == "drop"), default=0)
    return tuple(
        Superseded(record_id=each.record_id, month=each.details["month"], location=each.details["location"])
        for each in entries
        if each.act == _ACT and each.id > ended and "to" in each.details
    )
