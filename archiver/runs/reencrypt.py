"""Re-encrypt archives to the current recipients: a new object each, verified before the record points to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from archiver.format import encryption, layout
from archiver.format.encryption import Keys
from archiver.format.spool_folder import work_folder
from archiver.records import archive_record, audit_log
from archiver.records import purge_record as purging
from archiver.records.archive_record import Record
from archiver.records.month_record import Month
from archiver.records.purge_record import Purge
from archiver.records.resolve import Archived
from archiver.records.state import State
from archiver.runs.context import Archiver, new_extraction, new_location
from archiver.runs.each import Done, Outcome, for_each
from archiver.runs.reencrypt_month import reencrypt_month
from archiver.runs.tarballs import as_encrypted, reencrypted
from errors import RefusedError, UsageError


@dataclass(frozen=True, kw_only=True)
class Reencryption:
    """The result of re-encrypting one archive."""

    record: Archived  # in its new state
    superseded: str = ""  # location of the earlier object, which is kept; empty if nothing changed


Reencrypted = Outcome[Archived, Reencryption]
OnReencrypted = Callable[[Reencrypted], None]


def reencrypt(archiver: Archiver, records: Sequence[Archived], on_result: OnReencrypted) -> list[Reencrypted]:
    """Re-encrypt archives to the current recipients. One that fails stays as it is and is reported; others continue.

    Raises UsageError if the inventory has no recipients, or an archive is encrypted and no identity was given. The
    caller holds the locks. `on_result` is called with each outcome.
    """
    if not archiver.keys.recipients:
        raise UsageError(
            "The inventory has no recipients to encrypt to.", hint="Add them:  store: {recipients: [age1…]}"
        )
    due = [record for record in records if not _up_to_date(archiver.keys, record)]
    encryption.refuse_if_closed(map(as_encrypted, due), archiver.keys)
    return for_each(records, lambda record: _reencrypt(archiver, record), on_result, databases=archiver.databases)


def _up_to_date(keys: Keys, record: Archived) -> bool:
    return set(record.recipients) == set(keys.recipients)


def _reencrypt(archiver: Archiver, record: Archived) -> Done[Reencryption]:
    if isinstance(record, Record):
        record = _still_archived(archiver, record)
    if _up_to_date(archiver.keys, record):
        return Done(detail=Reencryption(record=record))
    with work_folder(archiver.work) as work:
        moved = _moved(archiver, record, work)
    return Done(size=moved.size or 0, detail=Reencryption(record=moved, superseded=record.location))


def _moved(archiver: Archiver, record: Archived, work: Path) -> Archived:
    match record:
        case Month():
            return reencrypt_month(archiver, record, work)
        case Purge():
            return _purge(archiver, record, work)
        case Record():
            return _tenant(archiver, record, work)


def _still_archived(archiver: Archiver, record: Record) -> Record:
    """Return the record, read again under the lock; raise RefusedError unless it is still archived."""
    subject = f"{archiver.model.tenant.noun.capitalize()} {record.tenant_id}"
    for now in archive_record.of_tenant(archiver.databases.master, record.tenant_id, record.year):
        if now.state is State.ARCHIVED:
            return now
        raise RefusedError(
            f"{subject} is {now.state.value} for {now.year}, by a run that was interrupted.",
            hint="Finish that first: run the interrupted command again.",
        )
    raise RefusedError(f"{subject} is not archived for {record.year} any more.")


def _tenant(archiver: Archiver, record: Record, work: Path) -> Record:
    name = layout.tarball(archiver.model.tenant.noun, record.year, record.tenant_id)
    location = new_location(archiver, record.year, record.tenant_id)
    return _move(archiver, record, reencrypted(archiver, record, location, work / name))


def _purge(archiver: Archiver, purge: Purge, work: Path) -> Purge:
    """Re-encrypt a purge and update its record, which is kept forever."""
    key = layout.purge_key(purge.year, purge.id, new_extraction(), encrypted=True)
    stored = reencrypted(archiver, purge, archiver.bucket.location(key), work / "purge.tar.gz")
    return purging.reencrypted(archiver.databases.master, stored)


def _move(archiver: Archiver, record: Record, stored: Record) -> Record:
    """Point the record to the new object, together with a log entry."""
    master = archiver.databases.master
    with master.transaction(doing=f"moving the record of {archiver.model.tenant.noun} {record.tenant_id}"):
        moved = archive_record.reencrypted(master, stored)
        details = {"from": record.location, "to": moved.location, "recipients": moved.recipients}
        audit_log.log(master, "rewrap", moved, {**details, "sha256": moved.sha256})
    return moved
