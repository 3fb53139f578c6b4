"""Drop an archive: take its rows out of its months, then delete its object and record. The log keeps the details."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from archiver.records import archive_record, audit_log, retained_rows, shard_keys, slice_record
from archiver.records.archive_record import Record
from archiver.records.slice_record import Slice
from archiver.runs.context import Archiver
from archiver.runs.drop_months import drop_slices, dropped_months, refuse_lost
from archiver.runs.remains import delete_for_good, unreferenced_of
from archiver.runs.settle import settle
from archiver.store.bucket import StoredObject
from errors import RefusedError, UsageError


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """The end of a drop: the months that lost rows, and the remains in the store of the tenant."""

    months: tuple[Slice, ...]
    versions_stay: str  # why versions of objects stay or may stay; empty: there are none
    unreferenced: tuple[StoredObject, ...]  # other objects of the tenant, of all years, that no record names


def refuse_unless_named(record: Record, tarball: str) -> None:
    """Raise UsageError unless the operator typed the tarball's name."""
    if tarball != record.tarball:
        said = f"got {tarball!r}" if tarball else "got nothing"
        raise UsageError(
            f"Nothing was dropped: expected the tarball's name, {record.tarball}, {said}.",
            hint="Without a terminal, give it with --tarball=…",
        )


def drop(archiver: Archiver, record: Record, without: Collection[str] = ()) -> Dropped:
    """Take the rows out of the year's months, delete the object with its versions, then the record, with log entries.

    `without` names months that stay as they are. Raises Problems if it names others, and, before anything is changed,
    RefusedError, DamagedError or StorageError if a month can't lose its rows. The caller holds the exclusive lock: a
    month's object has the rows of many. The operator has typed the tarball's name. If interrupted, the same call
    finishes it.
    """
    master, noun = archiver.databases.master, archiver.model.tenant.noun
    of_year = slice_record.of_year(master, record.tenant_id, record.year)
    settle(archiver, {record.shard, *(each.month.shard for each in of_year)})
    _still_there(archiver, record)
    months = dropped_months(master, noun, record, without)
    refuse_lost(archiver, record, months)
    stay = drop_slices(archiver, months)
    stay.append(delete_for_good(archiver.bucket, archiver.bucket.key(record.location)))
    _delete_record(archiver, record)
    return Dropped(
        months=months.slices,
        versions_stay=" ".join(dict.fromkeys(filter(None, stay))),
        unreferenced=unreferenced_of(archiver, record.tenant_id),
    )


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


def _still_there(archiver: Archiver, record: Record) -> None:
    """Raise RefusedError if the record, now read under the lock, has changed."""
    now = archive_record.of_ids(archiver.databases.master, [record.id])
    if not now or (now[0].state, now[0].location) != (record.state, record.location):
        raise RefusedError(f"The record of {record.tarball} changed in the meantime; nothing was dropped.")


def _details(record: Record) -> dict[str, object]:
    return {
        "state": record.state.value,
        "location": record.location,
        "rows": record.rows,
        "size": record.size,
        "md5": record.md5,
        "sha256": record.sha256,
        "kept": dict(record.kept),
    }
