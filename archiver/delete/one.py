"""Delete one verified tenant: row locks, verification of every row, then DELETE by identity."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from archiver.catalog.model import MASTER, SHARD, Model, TableName
from archiver.completeness.recheck import recheck
from archiver.delete import marker
from archiver.delete.decide import DeletionDecision, decide
from archiver.delete.delete import delete
from archiver.delete.late_rows import appeared, appeared_in_shard
from archiver.delete.return_trial import tried_back
from archiver.delete.returnable import OrphanRows, orphans
from archiver.delete.unchanged import Stored, prove_shape, prove_unchanged
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.load.fit import fitting
from archiver.load.load import IncomingArchive, LiveNeighbors, load_database
from archiver.load.obstacles import refused_by_rows
from archiver.load.proof import proven
from archiver.postgres import row_versions
from archiver.postgres.account import accounted, all_accounted
from archiver.postgres.databases import Placement
from archiver.postgres.selection import RowLock, SelectedRows, select
from archiver.postgres.session import Session
from archiver.records import archive_record, audit_log, deleted_keys, id_index, markers, retained_rows, shard_keys
from archiver.records.archive_record import ArchiveState, Record
from archiver.records.markers import DELETED
from archiver.store.standing import MissingObjectError, prove_stored
from archiver.verify.verify import Verified
from errors import CutoverError


@dataclass(frozen=True, kw_only=True)
class Deletion:
    """The result of a deletion; deleted and retained together are the manifest's rows."""

    record: Record
    deleted: Mapping[str, int]  # by table: rows
    retained: Mapping[str, int]  # by table: rows left live; only tables with some
    appeared: Mapping[str, int]  # by table: rows added after the proof; they stay live


@dataclass(frozen=True, kw_only=True)
class VerifiedTenant:
    """A tenant whose stored archive was restored and compared: a precondition of any deletion."""

    record: Record
    proof: Verified
    snapshots: Mapping[str, str]  # by database: the snapshot in which the rows were read


def delete_tenant(
    placement: Placement,
    model: Model,
    proven: VerifiedTenant,
    work: Path,
    stored: Stored,
    *,
    accept_orphans: bool = False,
) -> Deletion:
    """Delete a tenant's rows, all or none. Raises RefusedError with the tables that changed since the extraction.

    Every row is locked and verified in both databases, then deleted: first in the shard, then in master together with
    the record. Rows that could not come back are refused unless `accept_orphans`.
    """
    record = archive_record.deleting(placement.master, proven.record)
    try:
        return _prove_and_delete(placement, model, record, proven, work, stored, accept_orphans)
    except MissingObjectError:
        _step_back(placement, record, ArchiveState.EXTRACTING)
        raise
    except CutoverError:
        _step_back(placement, record, ArchiveState.VERIFIED)
        raise


def _step_back(placement: Placement, record: Record, state: ArchiveState) -> None:
    """Set the record back to a state if the shard did not commit; if that can't be read, a rerun settles it."""
    with suppress(CutoverError):
        if markers.read(placement.shard_session, record, DELETED) is None:
            archive_record.step_back(placement.master, record, state)


def _prove_and_delete(
    placement: Placement,
    model: Model,
    record: Record,
    proven: VerifiedTenant,
    work: Path,
    stored: Stored,
    accept_orphans: bool,
) -> Deletion:
    """Lock, verify and delete, in one transaction per database."""
    began = time.monotonic()
    with _both_open(placement):
        with all_accounted(placement.sessions, "Deleting", model) as accounts:
            recheck(placement, model, placement.sessions)
            since = row_versions.trusted(placement.sessions, proven.snapshots)
            selection = select(placement, model, record.tenant_id, lock=RowLock(since=since))
            prove_unchanged(placement, model, record, selection, model.tables, work, stored)
            prove_shape(placement)
            decided = decide(placement, model, record, selection)
            orphan_rows = dict[str, int]()
            for database in reversed(placement.sessions):
                orphan_rows |= orphans(placement, database, decided.to_delete, accepted=accept_orphans)
                with tried_back(placement, model, database, decided.to_delete, accounts[database], orphan_rows):
                    delete(placement, model, database, decided.to_delete, accounts[database])
        if placement.shard_session:
            schema = placement.schemas[SHARD]
            keys = {
                link: decided.to_delete[link.parent].values(link.parent_columns)
                for link in shard_keys.unenforced(model, schema)
            }
            shard_keys.remember(placement.shard_session, schema, record, keys)
            _commit_shard(placement.shard_session, model, record, decided, stored)
        return _commit_master(placement, model, record, decided, time.monotonic() - began, stored, orphan_rows)


def resume(
    placement: Placement,
    model: Model,
    record: Record,
    work: Path,
    stored: Stored,
    *,
    accept_orphans: bool = False,
) -> Deletion | None:
    """Complete a deletion that was interrupted after the shard committed; return None if the shard is unchanged."""
    marker_content = markers.read(placement.shard_session, record, DELETED)
    if marker_content is None:
        return None
    keys_found, keys_deleted = (marker.keys(placement, model, marker_content[name]) for name in ("found", "gone"))
    with _both_open(placement):
        with accounted(placement.master, "Deleting", model.written_besides(MASTER)) as account:
            recheck(placement, model, [MASTER])
            since = row_versions.trusted(placement.sessions, record.snapshots)
            selection = select(placement, model, record.tenant_id, lock=RowLock(since=since), link_values=keys_found)
            prove_unchanged(placement, model, record, selection, model.of(MASTER), work, stored)
            prove_shape(placement)
            decided = decide(placement, model, record, selection, keys_deleted)
            orphan_rows = orphans(placement, MASTER, decided.to_delete, accepted=accept_orphans)
            with tried_back(placement, model, MASTER, decided.to_delete, account, orphan_rows):
                delete(placement, model, MASTER, decided.to_delete, account)
        done = _commit_master(placement, model, record, decided, None, stored, orphan_rows)
    return replace(done, appeared={**appeared_in_shard(placement, model, record), **done.appeared})


def put_back(placement: Placement, model: Model, record: Record, archive: Archive) -> None:
    """Undo the shard's deletion: restore its rows and remove the marker, in one transaction."""
    shard = placement.sessions[SHARD]
    incoming = IncomingArchive(placement=placement, model=model, archive=archive, mappings=fitting(placement, archive))
    subject = f"putting back {model.tenant.noun} {record.tenant_id} in the shard"
    hint = "Change or remove what is in the way, then run the same command again."
    with refused_by_rows(subject.capitalize(), hint, [incoming]), shard.transaction(doing=subject):
        written = model.written_besides(SHARD)
        with accounted(shard, "Restoring", written) as account, proven(account, model, SHARD) as proof:
            load_database(incoming, SHARD, LiveNeighbors(retained=record.kept, everywhere=True), proof)
        markers.delete(shard, record, DELETED)
        shard_keys.forget(shard, record)
    archive_record.step_back(placement.master, record, ArchiveState.VERIFIED)


@contextmanager
def _both_open(placement: Placement) -> Iterator[None]:
    """Open a transaction in each database of a placement; roll back whatever is still open at the end."""
    with ExitStack() as transactions:
        for session in placement.sessions.values():
            transactions.enter_context(session.rolled_back())
        yield


def _commit_shard(shard: Session, model: Model, record: Record, decided: DeletionDecision, stored: Stored) -> None:
    """Commit the shard's deletion with its marker, which holds all that the deletion in master needs."""
    markers.write(shard, record, DELETED, markers.located(record, marker.content(model, decided)))
    prove_stored(stored.bucket, record)
    shard.commit(doing=f"deleting in the shard for {model.tenant.noun} {record.tenant_id}")


def _commit_master(
    placement: Placement,
    model: Model,
    record: Record,
    decided: DeletionDecision,
    seconds: float | None,
    stored: Stored,
    orphan_rows: OrphanRows,
) -> Deletion:
    """Commit the deletion in master together with the record's final state and the log entry."""
    master, to_delete = placement.master, decided.to_delete
    marker_content = markers.read(placement.shard_session, record, DELETED) or {"deleted": {}}
    deleted = {**{str(table): len(to_delete[table].rows) for table in model.of(MASTER)}, **marker_content["deleted"]}
    retained = {
        str(table): rows
        for table in model.tables
        if (rows := record.members[layout.member(table)].rows - deleted[str(table)])
    }
    deleted_keys.remember(master, record, _keys(to_delete))
    id_index.write(master, record, _keys(decided.selection.by_table))
    retained_rows.remember(
        master, record, [*decided.retained[MASTER], *marker.staying(marker_content.get("staying", ()))]
    )
    record = archive_record.archived(master, record, retained, seconds)
    prove_stored(stored.bucket, record)
    details = {"deleted": deleted, "kept": retained, "sha256": record.sha256, **record.log_details}
    audit_log.log(master, "archive", record, details | ({"orphans": orphan_rows} if orphan_rows else {}))
    master.commit(doing=f"deleting in master for {model.tenant.noun} {record.tenant_id}")
    late_rows = appeared(placement, model, record, decided)
    return Deletion(record=record, deleted=deleted, retained=retained, appeared=late_rows)


def _keys(rows_by_table: Mapping[TableName, SelectedRows]) -> dict[str, list[int]]:
    """Return the whole-number keys of rows of master, by table."""
    return {
        table.table: [row[0] for row in rows.rows]
        for table, rows in rows_by_table.items()
        if table.database == MASTER and rows.rows and len(rows.identity) == 1 and type(rows.rows[0][0]) is int
    }
