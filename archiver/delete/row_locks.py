"""One tenant's rows beside a live product: each is locked, in key order, and proved to be as archived."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archiver.catalog.model import Model
from archiver.completeness.recheck import recheck
from archiver.delete.commit import Accounts
from archiver.delete.decide import DeletionDecision, decide
from archiver.delete.delete import delete
from archiver.delete.return_trial import tried_back
from archiver.delete.returnable import OrphanRows, orphans
from archiver.delete.unchanged import Stored, prove_shape, prove_unchanged
from archiver.postgres import row_versions
from archiver.postgres.databases import Placement
from archiver.postgres.selection import RowLock, Selection, Values, select
from archiver.records.archive_record import Record


@dataclass(frozen=True, kw_only=True)
class DecidedRows:
    """A tenant's rows: what is deleted, what stays, and what is deleted although its foreign keys reject it."""

    decided: DeletionDecision
    orphans: Mapping[str, OrphanRows]  # by database

    @property
    def all_orphans(self) -> OrphanRows:
        """The orphan rows of all databases."""
        return {key: rows for of_database in self.orphans.values() for key, rows in of_database.items()}


@dataclass(frozen=True, kw_only=True)
class RowLocks:
    """The locks of one tenant's rows, in the databases that have not committed their deletion yet."""

    placement: Placement
    model: Model
    record: Record
    databases: Sequence[str]  # in the order of their deletions
    snapshots: Mapping[str, str]  # by database: the snapshot in which the rows were read
    work: Path
    stored: Stored
    accept_orphans: bool
    keys_found: Values | None = None  # of links from a database that has committed: of all its rows,
    keys_deleted: Values | None = None  # and of those that were deleted there

    def lock(self) -> Selection:
        """Lock the tenant's rows in key order, and return them."""
        recheck(self.placement, self.model, self.databases)
        since = row_versions.trusted(self.placement.sessions, self.snapshots)
        lock = RowLock(since=since)
        return select(self.placement, self.model, self.record.tenant_id, lock=lock, link_values=self.keys_found)

    def unchanged(self, selection: Selection) -> DecidedRows:
        """Return the rows to delete. Raises RefusedError if one changed, or if one could not come back."""
        tables = tuple(table for table in self.model.tables if table.database in self.databases)
        prove_unchanged(self.placement, self.model, self.record, selection, tables, self.work, self.stored)
        prove_shape(self.placement)
        decided = decide(self.placement, self.model, self.record, selection, self.keys_deleted)
        accepted = self.accept_orphans
        return DecidedRows(
            decided=decided,
            orphans={
                name: orphans(self.placement, name, decided.to_delete, accepted=accepted) for name in self.databases
            },
        )

    def delete(self, rows: DecidedRows, accounts: Accounts) -> None:
        """Delete the rows database by database, once their way back was tried."""
        to_delete = rows.decided.to_delete
        for name in self.databases:
            account, orphan_rows = accounts[self.placement.sessions[name]], rows.orphans[name]
            with tried_back(self.placement, self.model, name, to_delete, account, orphan_rows):
                delete(self.placement, self.model, name, to_delete, account)
