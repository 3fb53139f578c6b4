"""Delete many verified tenants as one set: first in each shard, then in master, where the records are completed too."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName
from archiver.completeness.recheck import recheck
from archiver.delete import bookkeeping, marker, record_states, unchanged_set
from archiver.delete.delete_set import delete_set
from archiver.delete.deletion_set import DeletionSet
from archiver.delete.return_trial import judges_of
from archiver.delete.returnable import OrphanRows, orphans_of_set, refusals
from archiver.delete.strategy import JoinedTables, groups
from archiver.delete.truncate_reload import truncate_reload
from archiver.delete.unchanged import Stored, prove_shape
from archiver.delete.unchanged_set import Counts
from archiver.extract import row_sets
from archiver.extract.row_sets import LinkValues, RowSets
from archiver.format import layout
from archiver.postgres.account import Account, accounted
from archiver.postgres.databases import Databases, Placement
from archiver.postgres.schema import TENANT, identifier
from archiver.postgres.selection import Key, matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier
from archiver.postgres.triggers import product_names, triggers_disabled
from archiver.records import audit_log, markers, shard_keys
from archiver.records.archive_record import Record
from archiver.records.markers import DELETED
from archiver.store.standing import missing_objects
from errors import CutoverError
from formatting import plural

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
class BulkDeletion:
    """The result of deleting a set of tenants."""

    deleted: Mapping[int, Mapping[str, int]]  # tenant id: rows by table
    retained: Mapping[int, Mapping[str, int]]
    failed: Mapping[int, CutoverError]  # these tenants are live, unchanged


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


def empty_shard(work: BulkWork, placement: Placement, records: Sequence[Record]) -> dict[int, CutoverError]:
    """Delete tenants in their shard, with markers; their records already say `deleting`. Return the failures by tenant.

    The rows of both databases are verified first. Raises CutoverError, with nothing deleted, if the set as such fails.
    """
    with ExitStack() as stack:
        # Master is only read here, by several shards at a time: each has its own session.
        reader = stack.enter_context(closing(work.databases.open(MASTER)))
        placement = replace(placement, sessions={**placement.sessions, MASTER: reader})
        stack.enter_context(reader.rolled_back("REPEATABLE READ"))
        stack.enter_context(placement.sessions[SHARD].rolled_back())
        with accounted(placement.sessions[SHARD], "Deleting", work.model.written_besides(SHARD)) as account:
            failed, contents = _delete_in_shard(work, placement, records, account)
        if contents:
            remaining = [record for record in records if record.tenant_id in contents]
            markers.write_all(
                placement.sessions[SHARD], remaining, DELETED, [contents[record.tenant_id] for record in remaining]
            )
            _prove_stored(work, remaining)
            placement.sessions[SHARD].commit(
                doing=f"deleting {len(remaining)} {plural(work.model.tenant.noun)} in {placement.shard}"
            )
    return failed


def _delete_in_shard(
    work: BulkWork, placement: Placement, records: Sequence[Record], account: Account
) -> tuple[dict[int, CutoverError], dict[int, dict[str, Any]]]:
    """Verify the rows of both databases, and delete the shard's. Return the failures and the markers, by tenant."""
    shard, reader = placement.sessions[SHARD], placement.sessions[MASTER]
    table_groups = _locked(work, placement, SHARD, records)
    recheck(placement, work.model, [SHARD])
    sets = row_sets.make(placement, work.model, [record.tenant_id for record in records])
    unwritten_counts = unchanged_set.unwritten(shard, work.model.of(SHARD), records)
    if unwritten_counts is not None and unchanged_set.unwritten(reader, work.model.of(MASTER), records) is not None:
        counts, failed = unchanged_set.archived(work.model.tables, records), dict[int, CutoverError]()
    else:
        unwritten_counts, counts = None, unchanged_set.counted(sets, work.model.tables, records)
        failed = unchanged_set.changed(sets, counts, records, work.folder, work.stored)
    prove_shape(placement)
    if not work.accept_orphans:
        for database, session in placement.sessions.items():
            failed = {**refusals(session, _orphans(work, sets, database)), **failed}
    failed |= _missing(work, records)
    sets.leave_out(failed)
    remaining = [record for record in records if record.tenant_id not in failed]
    if not remaining:
        return failed, {}
    deletion_set = DeletionSet(sets, work.depth, {})
    contents = _markers(deletion_set, counts, remaining)  # read before the rows are deleted
    with account.bookkeeping():
        schema = placement.schemas[SHARD]
        links = shard_keys.unenforced(work.model, schema)
        deleted_keys = {
            link: sets.keys(link.parent, link.parent_columns) for link in links if deletion_set.all_rows_go(link.parent)
        }
        shard_keys.remember_all(shard, schema, remaining, deleted_keys)
    rows = _sums(counts, SHARD, remaining, deletion_set)
    _delete(deletion_set, SHARD, table_groups, rows, account, unwritten_counts)
    return failed, contents


def empty_master(
    work: BulkWork, records: Sequence[Record], shard_markers: Mapping[int, Mapping[str, Any]]
) -> BulkDeletion:
    """Delete tenants in master and complete their records.

    `shard_markers` has, by tenant, the content of the shard's marker.
    """
    began = time.monotonic()
    placement, master = work.databases.master_only(), work.databases.master
    with master.rolled_back():
        with accounted(master, "Deleting", work.model.written_besides(MASTER)) as account:
            table_groups = _locked(work, placement, MASTER, records)
            recheck(placement, work.model, [MASTER])
            keys_found = _keys_by_link(work.model, shard_markers, "found")
            sets = row_sets.make(placement, work.model, [record.tenant_id for record in records], keys_found)
            counts = unchanged_set.counted(sets, work.model.of(MASTER), records)
            failed = unchanged_set.changed(sets, counts, records, work.folder, work.stored)
            prove_shape(placement)
            orphan_rows = _orphans(work, sets, MASTER)
            if not work.accept_orphans:
                failed = {**refusals(master, orphan_rows), **failed}
            failed |= _missing(work, records)
            sets.leave_out(failed)
            remaining = [record for record in records if record.tenant_id not in failed]
            keys_deleted = _keys_by_link(
                work.model,
                {tenant_id: shard_markers[tenant_id] for tenant_id in shard_markers if tenant_id not in failed},
                "gone",
            )
            deletion = _delete_in_master(
                work,
                DeletionSet(sets, work.depth, keys_deleted, [record.id for record in remaining]),
                table_groups,
                remaining,
                shard_markers,
                orphan_rows,
                began,
                account,
            )
        _prove_stored(work, remaining)
        audit_log.log_all(master, "archive", remaining, _details(remaining, deletion, orphan_rows))
        master.commit(doing=f"deleting {len(remaining)} {plural(work.model.tenant.noun)} in master")
    return BulkDeletion(deleted=deletion.deleted, retained=deletion.retained, failed=failed)


def _missing(work: BulkWork, records: Sequence[Record]) -> dict[int, CutoverError]:
    """Return the tenants whose object is not in the store as it was put, each with its error."""
    errors = missing_objects(work.stored.bucket, records)
    return {record.tenant_id: errors[record.location] for record in records if record.location in errors}


def _prove_stored(work: BulkWork, records: Sequence[Record]) -> None:
    """Raise the error of the first object that went during the deletion, which can take an hour."""
    for error in _missing(work, records).values():
        raise error


def _delete_in_master(
    work: BulkWork,
    deletion_set: DeletionSet,
    table_groups: Sequence[JoinedTables],
    records: Sequence[Record],
    shard_markers: Mapping[int, Mapping[str, Any]],
    orphan_rows: Mapping[int, OrphanRows],
    began: float,
    account: Account,
) -> BulkDeletion:
    """Decide in master, write the bookkeeping for restore and audit, delete, and complete the records."""
    master, tables = work.databases.master, work.model.of(MASTER)
    for table in tables:
        deletion_set.materialize(table)
    books = bookkeeping.bookkeeping_of(deletion_set, records)
    with account.bookkeeping():
        books.write()
    by_table = {str(table): books.deleted(table) for table in tables}
    rows = {table.table: sum(by_table[str(table)].values()) for table in tables}
    _delete(deletion_set, MASTER, table_groups, rows, account)
    deleted = {
        record.tenant_id: {
            **{table: counts.get(record.tenant_id, 0) for table, counts in by_table.items()},
            **shard_markers[record.tenant_id].get("deleted", {}),
        }
        for record in records
    }
    retained = {record.tenant_id: bookkeeping.retained(record, deleted[record.tenant_id]) for record in records}
    seconds = (time.monotonic() - began) / max(1, len(records))
    with account.bookkeeping():
        record_states.archived(master, records, [retained[record.tenant_id] for record in records], seconds)
    return BulkDeletion(deleted=deleted, retained=retained, failed={})


def _details(
    records: Sequence[Record], deletion: BulkDeletion, orphan_rows: Mapping[int, OrphanRows]
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


def _orphans(work: BulkWork, sets: RowSets, database: str) -> dict[int, dict[str, int]]:
    return orphans_of_set(sets, work.model, database, work.model.below(work.depth))


def _locked(work: BulkWork, placement: Placement, database: str, records: Sequence[Record]) -> list[JoinedTables]:
    """Lock the tables against writes; those to be truncated also against reads. Return the groups of tables."""
    session, below = placement.sessions[database], work.model.below(work.depth)
    rows = {
        table.table: sum(record.members[layout.member(table)].rows for record in records)
        for table in work.model.of(database)
        if table in below
    }
    table_groups = groups(
        session,
        placement.schemas[database],
        {table: count for table, count in rows.items() if count},
        truncate_published=work.databases.truncate_published,
    )
    modes = {table: _EMPTIED if group.emptied else _DELETED for group in table_groups for table in group.tables}
    for table, mode in sorted(modes.items()):
        session.execute(SQL("LOCK TABLE {} IN " + mode).format(identifier(table)), doing=f"locking {table}")
    for group in table_groups:
        work.on_strategy(f"{session.where}: {', '.join(group.tables)}: {group.reason}")
    return table_groups


_EMPTIED, _DELETED = "ACCESS EXCLUSIVE MODE", "SHARE ROW EXCLUSIVE MODE"


def _delete(
    deletion_set: DeletionSet,
    database: str,
    table_groups: Sequence[JoinedTables],
    rows: Mapping[str, int],
    account: Account,
    table_counts: Mapping[TableName, int] | None = None,
) -> None:
    """Delete this number of rows of each table; `table_counts` are the numbers of rows in the tables, if known."""
    placement = deletion_set.row_sets.placement
    session, schema = placement.sessions[database], placement.schemas[database]

    def condition(table: str, alias: str) -> Composable:
        return deletion_set.row(TableName(database, table), alias)

    def deciding_link(table: str) -> tuple[str, Composable] | None:
        link = deletion_set.deciding_link(TableName(database, table))
        return (link.parent.table, narrowed(matched(link, "c", "p"), link, "c")) if link else None

    to_empty = {table for group in table_groups if group.emptied for table in group.tables if rows[table]}
    emptied = [table.table for table in deletion_set.model.of(database) if table.table in to_empty]  # parents first
    deleted = {
        table: rows[table] for group in table_groups if not group.emptied for table in group.tables if rows[table]
    }
    if deleted:
        with triggers_disabled(session, deletion_set.model, database), product_names(session):
            delete_set(account, schema, deleted, condition)
    if emptied:
        retained_counts = (
            {table: table_counts[TableName(database, table)] - rows[table] for table in emptied}
            if table_counts
            else None
        )
        truncate_reload(account, schema, emptied, condition, retained_counts, deciding_link)


def _sums(counts: Counts, database: str, records: Sequence[Record], deletion_set: DeletionSet) -> dict[str, int]:
    """Return the number of rows to delete by table, for tables in which all of the tenants' rows go."""
    tenants = {record.tenant_id for record in records}
    return {
        table.table: sum(rows for tenant_id, (rows, _) in of_table.items() if tenant_id in tenants)
        for table, of_table in counts.items()
        if table.database == database and deletion_set.all_rows_go(table)
    }


def _markers(deletion_set: DeletionSet, counts: Counts, records: Sequence[Record]) -> dict[int, dict[str, Any]]:
    """Return by tenant what the deletion in master needs, in the form of `marker.content`."""
    contents: dict[int, dict[str, Any]] = {
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


def _values(sets: RowSets, link: Link) -> dict[int, list[Key]]:
    """Return by tenant the keys in the shard by which rows of master are found."""
    columns = (TENANT, *link.parent_columns)
    query = SQL("SELECT DISTINCT {} FROM {}").format(SQL(", ").join(map(Identifier, columns)), sets.of(link.parent))
    values: dict[int, list[Key]] = {}
    for row in sets.placement.sessions[SHARD].keys(query, doing=f"reading the keys of {link.parent}"):
        if None not in row:
            values.setdefault(row[0], []).append(row[1:] if len(row) > 2 else row[1])
    return values


def _keys_by_link(model: Model, shard_markers: Mapping[int, Mapping[str, Any]], field: str) -> dict[Link, LinkValues]:
    """Return one field of the shards' markers by link, each key with its tenant."""
    return {
        link: [(tenant_id, key) for tenant_id, content in shard_markers.items() for key in content[field][str(link)]]
        for link in marker.crossing(model)
    }
