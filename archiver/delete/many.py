"""Delete many verified tenants as one set: first in each shard, then in master, where the records are completed too."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName
from archiver.delete import bookkeeping, marker, unchanged_set
from archiver.delete.bookkeeping import Bookkeeping
from archiver.delete.commit import Accounts, Recorded, Transaction, delete_and_commit
from archiver.delete.deletion_set import DeletionSet
from archiver.delete.return_trial import judges_of
from archiver.delete.returnable import OrphanRows
from archiver.delete.table_locks import BulkWork, LockedTables, TableLocks, VerifiedSet
from archiver.delete.unchanged_set import Counts
from archiver.extract.row_sets import LinkValues, RowSets
from archiver.postgres.databases import Placement
from archiver.postgres.schema import TENANT
from archiver.postgres.session import SQL, Identifier
from archiver.records import archive_record, audit_log, markers, shard_keys
from archiver.records.archive_record import Record
from archiver.records.markers import DELETED
from errors import CutoverError
from formatting import plural
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class BulkDeletion:
    """The result of deleting a set of tenants."""

    deleted: Mapping[Key, Mapping[str, int]]  # tenant id: rows by table
    retained: Mapping[Key, Mapping[str, int]]
    failed: Mapping[Key, CutoverError]  # these tenants are live, unchanged


def reason_not_bulk(model: Model, placement: Placement, depth: str) -> str | None:
    """Return why tenants of this model can't be deleted in sets, only one by one; None if they can."""
    deletion_set = DeletionSet(RowSets(placement, model), depth, {})
    if not deletion_set.all_rows_go(model.start(depth)):
        return f"rows of {model.start(depth)} may belong to another tenant too"
    for database, session in placement.sessions.items():
        for table, judges in judges_of(session, model, model.of(database)).items():
            return f"{judges[0]} judges rows of {table} as they come back"
    for table in model.tables:
        if any(link.recursive for link in model.referenced_by(table)):
            return f"rows of {table} lead to rows of the same table"
        if table.database == SHARD and table in model.below(depth) and not deletion_set.all_rows_go(table):
            return f"rows of {table} may be needed by others"
    return None


def empty_shard(work: BulkWork, placement: Placement, records: Sequence[Record]) -> Mapping[Key, CutoverError]:
    """Delete tenants in their shard, with markers; their records already say `deleting`. Return the failures by tenant.

    The rows of both databases are verified first. Raises CutoverError, with nothing deleted, if the set as such fails.
    """
    # Master is only read here, by several shards at a time: each has its own session.
    with closing(work.databases.open(MASTER)) as reader, reader.rolled_back("REPEATABLE READ"):
        placement = replace(placement, sessions={**placement.sessions, MASTER: reader})
        noun = plural(work.model.tenant.noun)
        transaction = Transaction(
            session=placement.sessions[SHARD],
            doing=f"deleting {len(records)} {noun} in {placement.shard}",
            written_besides=work.model.written_besides(SHARD),
        )
        locks = _ShardTables(work=work, placement=placement, database=SHARD, records=records)
        return delete_and_commit("Deleting", locks, [transaction], locks.record)


@dataclass(frozen=True, kw_only=True)
class _ShardSet:
    """The rows of a shard to delete with their tenants, and what their markers say."""

    locked: LockedTables
    verified: VerifiedSet
    deletion_set: DeletionSet
    rows: Mapping[str, int]  # to delete, by table
    table_counts: Mapping[TableName, int] | None  # in all, by table, if none was written
    contents: Mapping[Key, Mapping[str, Any]]  # of the markers, by tenant


@dataclass(frozen=True, kw_only=True)
class _ShardTables(TableLocks):
    """The locks of a shard's tables; the rows of both databases are verified before these are deleted."""

    def unchanged(self, locked: LockedTables) -> _ShardSet:
        """Return the rows to delete of the tenants that did not change, and their markers, read before the rows go."""
        work, sets = self.work, locked.sets
        counts, changed, table_counts = self._compared(sets)
        verified = self.verified(sets, changed)
        deletion_set = DeletionSet(sets, work.depth, {})
        return _ShardSet(
            locked=locked,
            verified=verified,
            deletion_set=deletion_set,
            rows=_sums(counts, SHARD, verified.records, deletion_set),
            table_counts=table_counts,
            contents=_markers(deletion_set, counts, verified.records) if verified.records else {},
        )

    def delete(self, rows: _ShardSet, accounts: Accounts) -> None:
        """Write the keys by which rows are found later, and delete the rows."""
        if not rows.verified.records:
            return
        shard, schema, sets = self.placement.sessions[SHARD], self.placement.schemas[SHARD], rows.locked.sets
        with accounts[shard].bookkeeping():
            keys = {
                link: sets.keys(link.parent, link.parent_columns)
                for link in shard_keys.unenforced(self.work.model, schema)
                if rows.deletion_set.all_rows_go(link.parent)
            }
            shard_keys.remember_all(shard, schema, rows.verified.records, sets.number_of, keys)
        self.delete_rows(rows.deletion_set, rows.locked, rows.rows, accounts[shard], rows.table_counts)

    def record(self, rows: _ShardSet) -> Recorded[Mapping[Key, CutoverError]]:
        """Write the markers; return the tenants that failed."""
        records = rows.verified.records
        contents = [rows.contents[record.tenant_id] for record in records]
        markers.write_all(self.placement.sessions[SHARD], records, DELETED, contents)
        return Recorded(result=rows.verified.failed, bucket=self.work.stored.bucket, archives=records)

    def _compared(self, sets: RowSets) -> tuple[Counts, Mapping[Key, CutoverError], Mapping[TableName, int] | None]:
        """Return the tenants' rows by table, the tenants that changed, and the sizes of tables that none wrote to."""
        model, sessions, records = self.work.model, self.placement.sessions, self.records
        unwritten = unchanged_set.unwritten(sessions[SHARD], model.of(SHARD), records)
        if unwritten is not None and unchanged_set.unwritten(sessions[MASTER], model.of(MASTER), records) is not None:
            return unchanged_set.archived(model.tables, records), {}, unwritten
        counts = unchanged_set.counted(sets, model.tables, records)
        return counts, unchanged_set.changed(sets, counts, records, self.work.folder, self.work.stored), None


def empty_master(
    work: BulkWork, records: Sequence[Record], shard_markers: Mapping[Key, Mapping[str, Any]]
) -> BulkDeletion:
    """Delete tenants in master and complete their records.

    `shard_markers` has, by tenant, the content of the shard's marker.
    """
    transaction = Transaction(
        session=work.databases.master,
        doing=f"deleting {len(records)} {plural(work.model.tenant.noun)} in master",
        written_besides=work.model.written_besides(MASTER),
    )
    locks = _MasterTables(
        work=work,
        placement=work.databases.master_only(),
        database=MASTER,
        records=records,
        keys_found=_keys_by_link(work.model, shard_markers, "found"),
        shard_markers=shard_markers,
        began=time.monotonic(),
    )
    return delete_and_commit("Deleting", locks, [transaction], locks.record)


@dataclass(frozen=True, kw_only=True)
class _MasterSet:
    """The rows of master to delete with their tenants."""

    locked: LockedTables
    verified: VerifiedSet
    deletion_set: DeletionSet
    books: Bookkeeping
    by_table: Mapping[str, Mapping[Key, int]]  # rows to delete by table and tenant


@dataclass(frozen=True, kw_only=True)
class _MasterTables(TableLocks):
    """The locks of master's tables; the shards' rows of these tenants are deleted already."""

    shard_markers: Mapping[Key, Mapping[str, Any]]
    began: float

    def unchanged(self, locked: LockedTables) -> _MasterSet:
        """Decide which rows of master are deleted with which tenant, and which stay."""
        work, sets, tables = self.work, locked.sets, self.work.model.of(MASTER)
        counts = unchanged_set.counted(sets, tables, self.records)
        changed = unchanged_set.changed(sets, counts, self.records, work.folder, work.stored)
        verified = self.verified(sets, changed)
        begun = {tenant: content for tenant, content in self.shard_markers.items() if tenant not in verified.failed}
        ids = [record.id for record in verified.records]
        deletion_set = DeletionSet(sets, work.depth, _keys_by_link(work.model, begun, "gone"), ids)
        for table in tables:
            deletion_set.materialize(table)
        books = bookkeeping.bookkeeping_of(deletion_set, verified.records)
        return _MasterSet(
            locked=locked,
            verified=verified,
            deletion_set=deletion_set,
            books=books,
            by_table={str(table): books.deleted(table) for table in tables},
        )

    def delete(self, rows: _MasterSet, accounts: Accounts) -> None:
        """Write the bookkeeping for restore and audit while the rows are there, and delete them."""
        account = accounts[self.work.databases.master]
        with account.bookkeeping():
            rows.books.write()
        numbers = {table.table: sum(rows.by_table[str(table)].values()) for table in self.work.model.of(MASTER)}
        self.delete_rows(rows.deletion_set, rows.locked, numbers, account)

    def record(self, rows: _MasterSet) -> Recorded[BulkDeletion]:
        """Complete the records, and write the log's entries."""
        master, records = self.work.databases.master, rows.verified.records
        deleted = {
            record.tenant_id: {
                **{table: counts.get(record.tenant_id, 0) for table, counts in rows.by_table.items()},
                **self.shard_markers[record.tenant_id].get("deleted", {}),
            }
            for record in records
        }
        retained = {record.tenant_id: bookkeeping.retained(record, deleted[record.tenant_id]) for record in records}
        seconds = (time.monotonic() - self.began) / max(1, len(records))
        archive_record.all_archived(master, records, [retained[record.tenant_id] for record in records], seconds)
        deletion = BulkDeletion(deleted=deleted, retained=retained, failed=rows.verified.failed)
        audit_log.log_all(master, "archive", records, _details(records, deletion, rows.verified.orphans))
        return Recorded(result=deletion, bucket=self.work.stored.bucket, archives=records)


def _details(
    records: Sequence[Record], deletion: BulkDeletion, orphan_rows: Mapping[Key, OrphanRows]
) -> list[dict[str, object]]:
    """Return the details of the log's entries, in the order of the records."""
    return [
        {
            "deleted": deletion.deleted[record.tenant_id],
            "kept": deletion.retained[record.tenant_id],
            "sha256": record.sha256,
            **record.log_details,
            **({"orphans": orphan_rows[record.tenant_id]} if record.tenant_id in orphan_rows else {}),
        }
        for record in records
    ]


def _sums(counts: Counts, database: str, records: Sequence[Record], deletion_set: DeletionSet) -> dict[str, int]:
    """Return the number of rows to delete by table, for tables in which all of the tenants' rows go."""
    tenants = {record.tenant_id for record in records}
    return {
        table.table: sum(rows for tenant_id, (rows, _) in of_table.items() if tenant_id in tenants)
        for table, of_table in counts.items()
        if table.database == database and deletion_set.all_rows_go(table)
    }


def _markers(deletion_set: DeletionSet, counts: Counts, records: Sequence[Record]) -> dict[Key, dict[str, Any]]:
    """Return by tenant what the deletion in master needs, in the form of `marker.content`."""
    contents: dict[Key, dict[str, Any]] = {
        record.tenant_id: {"found": {}, "gone": {}, "deleted": {}, "staying": []} for record in records
    }
    for table in deletion_set.model.of(SHARD):
        all_rows_go = deletion_set.all_rows_go(table)
        for tenant_id, content in contents.items():
            rows, _ = counts[table].get(tenant_id, (0, 0))
            content["deleted"][str(table)] = rows if all_rows_go else 0
    for link in marker.crossing(deletion_set.model):
        values = _values(deletion_set.row_sets, link)
        for tenant_id, content in contents.items():
            content["found"][str(link)] = values.get(tenant_id, [])
            content["gone"][str(link)] = content["found"][str(link)] if deletion_set.all_rows_go(link.parent) else []
    return contents


def _values(sets: RowSets, link: Link) -> dict[Key, list[Any]]:
    """Return by tenant the keys in the shard by which rows of master are found."""
    columns = (TENANT, *link.parent_columns)
    query = SQL("SELECT DISTINCT {} FROM {}").format(SQL(", ").join(map(Identifier, columns)), sets.of(link.parent))
    values: dict[Key, list[Any]] = {}
    for row in sets.placement.sessions[SHARD].keys(query, doing=f"reading the keys of {link.parent}"):
        if None not in row:
            values.setdefault(sets.tenant_ids[row[0]], []).append(row[1:] if len(row) > 2 else row[1])
    return values


def _keys_by_link(model: Model, shard_markers: Mapping[Key, Mapping[str, Any]], field: str) -> dict[Link, LinkValues]:
    """Return one field of the shards' markers by link, each key with its tenant."""
    return {
        link: [(tenant_id, key) for tenant_id, content in shard_markers.items() for key in content[field][str(link)]]
        for link in marker.crossing(model)
    }
