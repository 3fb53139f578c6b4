"""Many tenants' rows in a night: whole tables are locked against writes, and the rows found in one pass a table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archiver.catalog.model import Link, Model, TableName
from archiver.completeness.recheck import recheck
from archiver.delete.delete_set import delete_set
from archiver.delete.deletion_set import DeletionSet
from archiver.delete.returnable import OrphanRows, orphans_of_set, refusals
from archiver.delete.strategy import JoinedTables, groups
from archiver.delete.truncate_reload import truncate_reload
from archiver.delete.unchanged import Stored, prove_shape
from archiver.extract import row_sets
from archiver.extract.row_sets import LinkValues, RowSets
from archiver.format import layout
from archiver.postgres.account import DeletionAccount
from archiver.postgres.databases import Databases, Placement
from archiver.postgres.schema import identifier
from archiver.postgres.selection import matched, narrowed
from archiver.postgres.session import SQL, Composable
from archiver.postgres.triggers import product_names, triggers_disabled
from archiver.records.archive_record import Record
from archiver.store.standing import missing_objects
from errors import CutoverError
from inventory.keys import Key

OnStrategy = Callable[[str], None]  # called with a line: the tables, how they are deleted from, and why


@dataclass(frozen=True, kw_only=True)
class BulkWork:
    """The context of a bulk deletion."""

    databases: Databases
    depth: str
    folder: Path
    stored: Stored
    on_strategy: OnStrategy
    accept_orphans: bool = False  # rows may go that their foreign keys would not take back

    @property
    def model(self) -> Model:
        """The catalog's model."""
        return self.databases.model


@dataclass(frozen=True, kw_only=True)
class LockedTables:
    """The tables of one database, locked, and the tenants' rows in all databases."""

    groups: Sequence[JoinedTables]
    sets: RowSets


@dataclass(frozen=True, kw_only=True)
class VerifiedSet:
    """The tenants whose rows may be deleted, and the errors of those that stay live."""

    records: Sequence[Record]
    failed: Mapping[Key, CutoverError]
    orphans: Mapping[Key, OrphanRows]


@dataclass(frozen=True, kw_only=True)
class TableLocks:
    """The locks of one database's tables from which many tenants' rows are deleted."""

    work: BulkWork
    placement: Placement
    database: str
    records: Sequence[Record]
    keys_found: Mapping[Link, LinkValues] | None = None  # of links from a database that has committed

    def lock(self) -> LockedTables:
        """Lock the tables against writes, those to be truncated also against reads; return them and the row sets."""
        locked = self._locked()
        recheck(self.placement, self.work.model, [self.database])
        tenants = [record.tenant_id for record in self.records]
        return LockedTables(
            groups=locked, sets=row_sets.make(self.placement, self.work.model, tenants, self.keys_found)
        )

    def verified(self, sets: RowSets, changed: Mapping[Key, CutoverError]) -> VerifiedSet:
        """Leave out the tenants that changed, whose rows could not come back, or whose object is gone."""
        prove_shape(self.placement)
        work, failed, orphan_rows = self.work, dict(changed), dict[Key, OrphanRows]()
        below = work.model.below(work.depth)
        for database, session in self.placement.sessions.items():
            of_database = orphans_of_set(sets, work.model, database, below)
            orphan_rows |= of_database
            if not work.accept_orphans:
                failed = {**refusals(session, of_database), **failed}
        failed |= self._missing()
        sets.leave_out(failed)
        remaining = [record for record in self.records if record.tenant_id not in failed]
        return VerifiedSet(records=remaining, failed=failed, orphans=orphan_rows)

    def delete_rows(
        self,
        deletion_set: DeletionSet,
        locked: LockedTables,
        rows: Mapping[str, int],
        account: DeletionAccount,
        table_counts: Mapping[TableName, int] | None = None,
    ) -> None:
        """Delete this number of rows of each table; `table_counts` are the numbers of rows in the tables, if known."""
        to_empty = {table for group in locked.groups if group.emptied for table in group.tables if rows[table]}
        emptied = [table for table in deletion_set.model.of(self.database) if table.table in to_empty]  # parents first
        deleted = {
            table: rows[table] for group in locked.groups if not group.emptied for table in group.tables if rows[table]
        }
        session, schema = self.placement.sessions[self.database], self.placement.schemas[self.database]
        conditions = _Conditions(deletion_set, self.database)
        if deleted:
            with triggers_disabled(session, deletion_set.model, self.database), product_names(session):
                delete_set(account, schema, deleted, conditions.deleted)
        if emptied:
            left = {table.table: table_counts[table] - rows[table.table] for table in emptied} if table_counts else None
            names = [table.table for table in emptied]
            truncate_reload(account, schema, names, conditions.deleted, left, conditions.deciding_link)

    def _locked(self) -> list[JoinedTables]:
        session, below = self.placement.sessions[self.database], self.work.model.below(self.work.depth)
        rows = {
            table.table: sum(record.members[layout.member(table)].rows for record in self.records)
            for table in self.work.model.of(self.database)
            if table in below
        }
        table_groups = groups(
            session,
            self.placement.schemas[self.database],
            {table: count for table, count in rows.items() if count},
            truncate_published=self.work.databases.truncate_published,
        )
        modes = {table: _EMPTIED if group.emptied else _DELETED for group in table_groups for table in group.tables}
        for table, mode in sorted(modes.items()):
            session.execute(SQL("LOCK TABLE {} IN " + mode).format(identifier(table)), doing=f"locking {table}")
        for group in table_groups:
            self.work.on_strategy(f"{session.where}: {', '.join(group.tables)}: {group.reason}")
        return table_groups

    def _missing(self) -> dict[Key, CutoverError]:
        """Return the tenants whose object is not in the store as it was put, each with its error."""
        errors = missing_objects(self.work.stored.bucket, self.records)
        return {record.tenant_id: errors[record.location] for record in self.records if record.location in errors}


_EMPTIED, _DELETED = "ACCESS EXCLUSIVE MODE", "SHARE ROW EXCLUSIVE MODE"


@dataclass(frozen=True)
class _Conditions:
    """The conditions on which rows of one database are deleted."""

    deletion_set: DeletionSet
    database: str

    def deleted(self, table: str, alias: str) -> Composable:
        """SQL: the row under an alias is deleted."""
        return self.deletion_set.row(TableName(self.database, table), alias)

    def deciding_link(self, table: str) -> tuple[str, Composable] | None:
        """Return the table that alone decides about a table's rows, and the condition that joins them."""
        link = self.deletion_set.deciding_link(TableName(self.database, table))
        return (link.parent.table, narrowed(matched(link, "c", "p"), link, "c")) if link else None
