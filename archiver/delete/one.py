"""Delete one verified tenant: row locks, verification of every row, then DELETE by identity."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archiver.catalog.model import MASTER, SHARD, Model, TableName
from archiver.delete import marker
from archiver.delete.commit import Recorded, Transaction, delete_and_commit
from archiver.delete.decide import DeletionDecision
from archiver.delete.late_rows import appeared, appeared_in_shard
from archiver.delete.row_locks import DecidedRows, RowLocks
from archiver.delete.unchanged import Stored
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.load.fit import fitting
from archiver.load.load import IncomingArchive, LiveNeighbors, load_database
from archiver.load.obstacles import refused_by_rows
from archiver.load.proof import proven
from archiver.postgres.account import accounted
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema
from archiver.postgres.selection import SelectedRows
from archiver.records import archive_record, audit_log, deleted_keys, id_index, markers, retained_rows, shard_keys
from archiver.records.archive_record import Record
from archiver.records.markers import DELETED
from archiver.records.settlement import Settlement, seen, settlement
from archiver.records.state import Kind, State
from archiver.store.standing import MissingObjectError
from archiver.verify.verify import Verified
from errors import CutoverError
from inventory.keys import Key, key_of


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
    verified: VerifiedTenant,
    work: Path,
    stored: Stored,
    *,
    accept_orphans: bool = False,
) -> Deletion:
    """Delete a tenant's rows, all or none. Raises RefusedError with the tables that changed since the extraction.

    Every row is locked and verified in both databases, then deleted: first in the shard, then in master together with
    the record. Rows that could not come back are refused unless `accept_orphans`.
    """
    record = archive_record.deleting(placement.master, verified.record)
    try:
        verified = replace(verified, record=record)
        return _prove_and_delete(placement, model, verified, work, stored, accept_orphans=accept_orphans)
    except MissingObjectError:
        _step_back(placement, record, State.EXTRACTING)
        raise
    except CutoverError:
        _step_back(placement, record, State.VERIFIED)
        raise


def _step_back(placement: Placement, record: Record, state: State) -> None:
    """Set the record back to a state if the shard did not commit; if that can't be read, a rerun settles it."""
    with suppress(CutoverError):
        if _settlement(placement, record) is Settlement.STEP_BACK:
            archive_record.step_back(placement.master, record, state)


def _settlement(placement: Placement, record: Record) -> Settlement:
    """Return how an interrupted deletion is settled, as the shard's markers say."""
    return settlement(Kind.TENANT, record.state, seen(markers.acts(placement.shard_session, record)))


def _prove_and_delete(
    placement: Placement, model: Model, verified: VerifiedTenant, work: Path, stored: Stored, *, accept_orphans: bool
) -> Deletion:
    """Lock, verify and delete in both databases; commit the shard, then master."""
    record = verified.record
    locks = RowLocks(
        placement=placement,
        model=model,
        record=record,
        databases=[*reversed(placement.sessions)],
        snapshots=verified.snapshots,
        work=work,
        stored=stored,
        accept_orphans=accept_orphans,
    )
    books = _Bookkeeping(placement=placement, model=model, record=record, stored=stored, began=time.monotonic())
    transactions = [_transaction(placement, model, record, name) for name in locks.databases]
    deletion, decided = delete_and_commit("Deleting", locks, transactions, books.write)
    return replace(deletion, appeared=appeared(placement, model, deletion.record, decided))


def resume(
    placement: Placement, model: Model, record: Record, work: Path, stored: Stored, *, accept_orphans: bool = False
) -> Deletion | None:
    """Complete a deletion that was interrupted after the shard committed; return None if the shard holds the rows."""
    if placement.shard_session is None or _settlement(placement, record) is not Settlement.FINISH:
        return None
    begun = markers.read(placement.shard_session, record, DELETED) or {}
    locks = RowLocks(
        placement=placement,
        model=model,
        record=record,
        databases=[MASTER],
        snapshots=record.snapshots,
        work=work,
        stored=stored,
        accept_orphans=accept_orphans,
        keys_found=marker.keys(placement, model, begun["found"]),
        keys_deleted=marker.keys(placement, model, begun["gone"]),
    )
    books = _Bookkeeping(placement=placement, model=model, record=record, stored=stored, begun=begun)
    with placement.shard_session.rolled_back():  # its late rows are locked, too
        transactions = [_transaction(placement, model, record, MASTER)]
        deletion, decided = delete_and_commit("Deleting", locks, transactions, books.write)
    late = appeared(placement, model, deletion.record, decided)
    return replace(deletion, appeared={**appeared_in_shard(placement, model, record), **late})


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
    archive_record.step_back(placement.master, record, State.VERIFIED)


def _transaction(placement: Placement, model: Model, record: Record, database: str) -> Transaction:
    where = "in master" if database == MASTER else "in the shard"
    return Transaction(
        session=placement.sessions[database],
        doing=f"deleting {where} for {model.tenant.noun} {record.tenant_id}",
        written_besides=model.written_besides(database),
    )


@dataclass(frozen=True, kw_only=True)
class _Bookkeeping:
    """The bookkeeping of a tenant's deletion: the shard's marker, then the record's final state and the log."""

    placement: Placement
    model: Model
    record: Record
    stored: Stored
    began: float | None = None  # None: another run began it
    begun: Mapping[str, Any] | None = None  # the marker, if the shard has committed already

    def write(self, rows: DecidedRows) -> Recorded[tuple[Deletion, DeletionDecision]]:
        """Write into the open transactions of both databases. Return the deletion."""
        content = self.begun if self.begun is not None else self._mark_shard(rows.decided)
        deleted = {
            **{str(table): len(rows.decided.to_delete[table].rows) for table in self.model.of(MASTER)},
            **content["deleted"],
        }
        deletion = self._complete(rows, content, deleted)
        archives = [deletion.record]
        return Recorded(result=(deletion, rows.decided), bucket=self.stored.bucket, archives=archives)

    def _mark_shard(self, decided: DeletionDecision) -> Mapping[str, Any]:
        """Write the marker, which holds all that the deletion in master needs, and the keys of deleted rows."""
        shard = self.placement.shard_session
        if shard is None:
            return {"deleted": {}}
        schema, content = self.placement.schemas[SHARD], marker.content(self.model, decided)
        keys = {
            link: decided.to_delete[link.parent].values(link.parent_columns)
            for link in shard_keys.unenforced(self.model, schema)
        }
        shard_keys.remember(shard, schema, self.record, keys)
        markers.write(shard, self.record, DELETED, markers.of_deletion(self.record, content))
        return content

    def _complete(self, rows: DecidedRows, content: Mapping[str, Any], deleted: Mapping[str, int]) -> Deletion:
        """Write the record's final state, what its archive holds of master, and the log's entry."""
        master, decided = self.placement.master, rows.decided
        retained = {
            str(table): left
            for table in self.model.tables
            if (left := self.record.members[layout.member(table)].rows - deleted[str(table)])
        }
        schema = self.placement.schemas[MASTER]
        deleted_keys.remember(master, self.record, _keys(schema, decided.to_delete))
        id_index.write(master, self.record, _keys(schema, decided.selection.by_table))
        staying = [*decided.retained[MASTER], *marker.staying(content.get("staying", ()))]
        retained_rows.remember(master, self.record, staying)
        seconds = None if self.began is None else time.monotonic() - self.began
        record = archive_record.archived(master, self.record, retained, seconds)
        details = {"deleted": deleted, "kept": retained, "sha256": record.sha256, **record.log_details}
        audit_log.log(master, "archive", record, details | ({"orphans": rows.all_orphans} if rows.all_orphans else {}))
        return Deletion(record=record, deleted=deleted, retained=retained, appeared={})


def _keys(schema: Schema, rows_by_table: Mapping[TableName, SelectedRows]) -> dict[str, list[Key]]:
    """Return the keys of rows of master, by table, of the tables whose ids are indexed."""
    indexed = id_index.indexed(schema)
    return {
        table.table: [key_of(row[: len(rows.identity)]) for row in rows.rows]
        for table, rows in rows_by_table.items()
        if table.database == MASTER and rows.rows and table.table in indexed
    }
