"""Re-verify stored archives: fetch, restore into the scratch database, compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from archiver.catalog.activity_rules import rules
from archiver.checks.purge_tables import model_of
from archiver.format.bundle import Archive, opened
from archiver.format.encryption import refuse_if_closed
from archiver.format.spool_folder import work_folder
from archiver.postgres.session import Session
from archiver.records import archive_record, audit_log, id_index, month_record, slice_record
from archiver.records import purge_record as purging
from archiver.records.archive_record import Record
from archiver.records.month_record import Month
from archiver.records.purge_record import Purge
from archiver.records.resolve import Archived
from archiver.runs import month_object
from archiver.runs.context import Archiver, fetch
from archiver.runs.each import Done, Outcome, for_each
from archiver.runs.tarballs import as_encrypted
from archiver.verify.verify import Verified, verify

Reverified = Outcome[Archived, None]
OnReverified = Callable[[Reverified], None]


def longest_unverified(records: Iterable[Archived], sample: int | None) -> Sequence[Archived]:
    """Return the archives by their last verification, oldest first; at most `sample`, or all."""
    by_proof = sorted(records, key=lambda record: record.proved_at or record.started_at)
    return by_proof[:sample]


def reverify(archiver: Archiver, records: Sequence[Archived], on_result: OnReverified) -> list[Reverified]:
    """Re-verify archives. One that fails is reported; the others continue. `on_result` is called with each outcome.

    Raises UsageError if one is encrypted and no identity was given.
    """
    refuse_if_closed(map(as_encrypted, records), archiver.keys)
    return for_each(records, lambda record: _reverify(archiver, record), on_result, databases=archiver.databases)


def _reverify(archiver: Archiver, record: Archived) -> Done[None]:
    with work_folder(archiver.work) as work:
        return Done(rows=_prove(archiver, record, work), size=record.size or 0, detail=None)


def _prove(archiver: Archiver, record: Archived, work: Path) -> int:
    """Fetch, check the digests, restore, compare, and record the date; return the number of rows."""
    match record:
        case Month():
            return _prove_month(archiver, record, work)
        case Purge():
            return _prove_purge(archiver, record, work)
        case Record():
            return _prove_tenant(archiver, record, work)


def _prove_tenant(archiver: Archiver, record: Record, work: Path) -> int:
    with opened(fetch(archiver.bucket, record, work), archiver.keys) as archive:
        proof = verify(archive, record.tenant_id, record.year, archiver.scratch, archiver.model)
        with archiver.databases.master.transaction(doing="writing the proof"):
            archive_record.reverified(archiver.databases.master, record)
            _index(archiver.databases.master, record, archive)
            audit_log.log(archiver.databases.master, "verify", record, _details(record, proof))
        return proof.manifest.rows


def _prove_month(archiver: Archiver, month: Month, work: Path) -> int:
    """Re-verify every slice still in the month's object."""
    of_month = slice_record.of_archive(archiver.databases.master, month)
    with month_object.opened(month_object.fetch_all(archiver, month, of_month, work), archiver) as archives:
        for month_slice, archive in zip(of_month, archives, strict=True):
            month_object.belongs_to(archive, month_slice)
        month_object.prove(archives, archiver, rules(archiver.model))
        month_record.reverified(archiver.databases.master, month)
        return sum(archive.manifest.rows for archive in archives)


def _prove_purge(archiver: Archiver, purge: Purge, work: Path) -> int:
    with opened(fetch(archiver.bucket, purge, work), archiver.keys) as archive:
        proof = verify(archive, purge.id, purge.year, archiver.scratch, model_of(archiver.model))
        purging.reverified(archiver.databases.master, purge)
        return proof.manifest.rows


def _index(master: Session, record: Record, archive: Archive) -> None:
    """Write the id index of an archive made by an older version of this tool, if it has none."""
    if record.id in {each.id for each in id_index.missing(master)}:
        id_index.write(master, record, id_index.ids_in(archive))


def _details(record: Record, proof: Verified) -> dict[str, object]:
    return {"rows": proof.manifest.rows, "size": record.size, "sha256": record.sha256}
