"""Drop an archive: delete its object, then its record. The log keeps the details."""

from __future__ import annotations

from dataclasses import dataclass

from archiver.records import archive_record, audit_log, retained_rows, shard_keys
from archiver.records.archive_record import Record
from archiver.runs.context import Archiver
from archiver.runs.remains import delete_for_good, unreferenced_of
from archiver.runs.settle import settle
from archiver.store.bucket import StoredObject
from errors import RefusedError, UsageError


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """The remains in the store of a tenant whose archive was dropped."""

    versions_stay: str  # why versions of the object stay or may stay; empty: there are none
    unreferenced: tuple[StoredObject, ...]  # other objects of the tenant, of all years, that no record names


def refuse_unless_named(record: Record, tarball: str) -> None:
    """Raise UsageError unless the operator typed the tarball's name."""
    if tarball != record.tarball:
        said = f"got {tarball!r}" if tarball else "got nothing"
        raise UsageError(
            f"Nothing was dropped: expected the tarball's name, {record.tarball}, {said}.",
            hint="Without a terminal, give it with --tarball=…",
        )


def drop(archiver: Archiver, record: Record) -> Dropped:
    """Delete the object with its versions, then the record and its index of ids, together with a log entry.

    The caller holds the tenant's lock, and the operator has typed the tarball's name. If interrupted, the same call
    finishes it.
    """
    master = archiver.databases.master
    settle(archiver, [record.shard])
    _still_there(archiver, record)
    versions_stay = delete_for_good(archiver.bucket, archiver.bucket.key(record.location))
    with master.transaction(doing=f"dropping {record.tarball}"):
        archive_record.delete(master, record)
        retained_rows.drop(master, record)
        retained_rows.forget(master)
        details = {**_details(record), **audit_log.closing(record, record.location, record.shard)}
        audit_log.log(master, "drop", record, details)
    if record.shard in archiver.databases.shards:
        shard_keys.forget(archiver.databases.session(record.shard), record)
    return Dropped(versions_stay=versions_stay, unreferenced=unreferenced_of(archiver, record.tenant_id))


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
