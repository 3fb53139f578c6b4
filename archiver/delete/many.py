"""The space of many verified tenants given back: first in each shard, then in master together with the records' end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archiver.catalog.model import MASTER, SHARD, Link, Model, TableName
from archiver.delete import bookkeeping, marker, record_states, unchanged_set
from archiver.delete.delete_set import delete_set
from archiver.delete.deletion_set import DeletionSet
from archiver.delete.one import DELETED
from archiver.delete.strategy import JoinedTables, groups
from archiver.delete.truncate_reload import truncate_reload
from archiver.delete.unchanged import Stored, prove_shape
from archiver.delete.unchanged_set import Counts
from archiver.extract import row_sets
from archiver.extract.row_sets import Known, RowSets
from archiver.format import layout
from archiver.postgres.databases import Databases, Placement
from archiver.postgres.schema import TENANT, identifier
from archiver.postgres.selection import Key, matched, narrowed
from archiver.postgres.session import SQL, Composable, Identifier
from archiver.postgres.triggers import triggers_disabled
from archiver.records import audit_log, markers
from archiver.records.archive_record import Record
from errors import CutoverError
from formatting import plural
from inventory.model import Depth

OnStrategy = Callable[[str], None]  # hears which tables are emptied or deleted from, and why


@dataclass(frozen=True, kw_only=True)
class BulkWork:
    """What many tenants are deleted with."""

    databases: Databases
    depth: Depth
    folder: Path
    stored: Stored
    on_strategy: OnStrategy

    @property
    def model(self) -> Model:
        """The catalog's model."""
        return self.databases.model


@dataclass(frozen=True, kw_only=True)
class BulkDeletion:
    """What became of a set of tenants."""

    deleted: Mapping[int, Mapping[str, int]]  # by tenant: rows by table
    kept: Mapping[int, Mapping[str, int]]
    failed: Mapping[int, CutoverError]  # these are live as they were


def reason_not_bulk(model: Model, placement: Placement, depth: Depth) -> str | None:
    """Why tenants of this model can't be deleted in sets, if so: then they are, one by one."""
    deletion_set = DeletionSet(RowSets(placement, model), depth, {})
    if model.start(depth) != model.root and not deletion_set.all_rows_go(model.start(depth)):
        return f"rows of {model.start(depth)} may be another tenant's as well"
    for table in model.tables:
        if any(link.recursive for link in model.referenced_by(table)):
            return f"rows of {table} lead to rows of the same table"
        if table.database == SHARD and table in model.below(depth) and not deletion_set.all_rows_go(table):
            return f"rows of {table} may be needed by others"
    return None


def empty_shard(work: BulkWork, placement: Placement, wanted: Sequence[Record]) -> dict[int, CutoverError]:
    """Deletes tenants, whose records say so, in their shard, with markers; returns those that failed, and why.

    Both databases are proved before. A set that can't be deleted as a whole raises; then nothing was.
    """
    with ExitStack() as stack:
        # Master is only looked at, and several shards may be at it.
        reader = stack.enter_context(closing(work.databases.open(MASTER)))
        placement = replace(placement, sessions={**placement.sessions, MASTER: reader})
        stack.enter_context(reader.rolled_back("REPEATABLE READ"))
        stack.enter_context(placement.sessions[SHARD].rolled_back())
        chosen = _locked(work, placement, SHARD, wanted)
        found = row_sets.make(placement, work.model, [record.tenant_id for record in wanted])
        rows = unchanged_set.unwritten(placement.sessions[SHARD], work.model.of(SHARD), wanted)
        if rows is not None and unchanged_set.unwritten(reader, work.model.of(MASTER), wanted) is not None:
            counts, failed = unchanged_set.archived(work.model.tables, wanted), dict[int, CutoverError]()
        else:
            rows, counts = None, unchanged_set.counted(found, work.model.tables, wanted)
            failed = unchanged_set.changed(found, counts, wanted, work.folder, work.stored)
        prove_shape(placement)
        found.leave_out(failed)
        rest = [record for record in wanted if record.tenant_id not in failed]
        if rest:
            deletion_set = DeletionSet(found, work.depth, {})
            contents = _markers(deletion_set, counts, rest)  # of rows that are still there
            _delete(deletion_set, SHARD, chosen, _sums(counts, SHARD, rest, deletion_set), rows)
            markers.write_all(placement.sessions[SHARD], rest, DELETED, [contents[record.tenant_id] for record in rest])
            placement.sessions[SHARD].commit(
                doing=f"deleting {len(rest)} {plural(work.model.tenant.noun)} in {placement.shard}"
            )
    return failed


def empty_master(work: BulkWork, wanted: Sequence[Record], noted: Mapping[int, Mapping[str, Any]]) -> BulkDeletion:
    """Deletes tenants in master and ends their records; `noted` is what the shards' markers say of them."""
    began = time.monotonic()
    site, master = work.databases.master_only(), work.databases.master
    with master.rolled_back():
        chosen = _locked(work, site, MASTER, wanted)
        known = _known(work.model, noted, "found")
        found = row_sets.make(site, work.model, [record.tenant_id for record in wanted], known)
        counts = unchanged_set.counted(found, work.model.of(MASTER), wanted)
        failed = unchanged_set.changed(found, counts, wanted, work.folder, work.stored)
        prove_shape(site)
        found.leave_out(failed)
        rest = [record for record in wanted if record.tenant_id not in failed]
        went = _known(work.model, {one: noted[one] for one in noted if one not in failed}, "gone")
        gone = _end(
            work, DeletionSet(found, work.depth, went, [record.id for record in rest]), chosen, rest, noted, began
        )
        master.commit(doing=f"deleting {len(rest)} {plural(work.model.tenant.noun)} in master")
    return BulkDeletion(deleted=gone.deleted, kept=gone.kept, failed=failed)


def _end(
    work: BulkWork,
    deletion_set: DeletionSet,
    chosen: Sequence[JoinedTables],
    wanted: Sequence[Record],
    noted: Mapping[int, Mapping[str, Any]],
    began: float,
) -> BulkDeletion:
    """Decides in master, notes all that a restore and a look will ask for, deletes, and ends the records."""
    master, tables = work.databases.master, work.model.of(MASTER)
    for table in tables:
        deletion_set.materialize(table)
    noting = bookkeeping.bookkeeping_of(deletion_set, wanted)
    noting.write()
    by_table = {str(table): noting.deleted(table) for table in tables}
    _delete(deletion_set, MASTER, chosen, {table.table: sum(by_table[str(table)].values()) for table in tables})
    deleted = {
        record.tenant_id: {
            **{table: counts.get(record.tenant_id, 0) for table, counts in by_table.items()},
            **noted[record.tenant_id].get("deleted", {}),
        }
        for record in wanted
    }
    kept = {record.tenant_id: bookkeeping.retained(record, deleted[record.tenant_id]) for record in wanted}
    details = [
        {"deleted": deleted[record.tenant_id], "kept": kept[record.tenant_id], "sha256": record.sha256}
        for record in wanted
    ]
    seconds = (time.monotonic() - began) / max(1, len(wanted))
    record_states.archived(master, wanted, [kept[record.tenant_id] for record in wanted], seconds)
    audit_log.log_all(master, "archive", wanted, details)
    return BulkDeletion(deleted=deleted, kept=kept, failed={})


def _locked(work: BulkWork, placement: Placement, database: str, wanted: Sequence[Record]) -> list[JoinedTables]:
    """Keeps everybody from changing the tables, and where they will be emptied also from reading them."""
    session, below = placement.sessions[database], work.model.below(work.depth)
    rows = {
        table.table: sum(record.members[layout.member(table)].rows for record in wanted)
        for table in work.model.of(database)
        if table in below
    }
    chosen = groups(session, placement.schemas[database], {table: count for table, count in rows.items() if count})
    modes = {table: _EMPTIED if group.emptied else _DELETED for group in chosen for table in group.tables}
    for table, mode in sorted(modes.items()):
        session.execute(SQL("LOCK TABLE {} IN " + mode).format(identifier(table)), doing=f"locking {table}")
    for group in chosen:
        work.on_strategy(f"{session.where}: {', '.join(group.tables)}: {group.reason}")
    return chosen


_EMPTIED, _DELETED = "ACCESS EXCLUSIVE MODE", "SHARE ROW EXCLUSIVE MODE"


def _delete(
    deletion_set: DeletionSet,
    database: str,
    chosen: Sequence[JoinedTables],
    rows: Mapping[str, int],
    of_all: Mapping[TableName, int] | None = None,
) -> None:
    """Deletes so many rows of each table; `of_all` is how many it has, where that is known."""
    placement = deletion_set.row_sets.placement
    session, schema = placement.sessions[database], placement.schemas[database]

    def goes(table: str, alias: str) -> Composable:
        return deletion_set.row(TableName(database, table), alias)

    def leader(table: str) -> tuple[str, Composable] | None:
        link = deletion_set.deciding_link(TableName(database, table))
        return (link.parent.table, narrowed(matched(link, "c", "p"), link, "c")) if link else None

    to_empty = {table for group in chosen if group.emptied for table in group.tables if rows[table]}
    emptied = [table.table for table in deletion_set.model.of(database) if table.table in to_empty]  # parents first
    deleted = {table: rows[table] for group in chosen if not group.emptied for table in group.tables if rows[table]}
    if deleted:
        with triggers_disabled(session, deletion_set.model, database):
            delete_set(session, schema, deleted, goes)
    if emptied:
        stay = {table: of_all[TableName(database, table)] - rows[table] for table in emptied} if of_all else None
        truncate_reload(session, schema, emptied, goes, stay, leader)


def _sums(counts: Counts, database: str, wanted: Sequence[Record], deletion_set: DeletionSet) -> dict[str, int]:
    """How many rows of each table go, where all go that were found."""
    tenants = {record.tenant_id for record in wanted}
    return {
        table.table: sum(rows for tenant_id, (rows, _) in of_table.items() if tenant_id in tenants)
        for table, of_table in counts.items()
        if table.database == database and deletion_set.all_rows_go(table)
    }


def _markers(deletion_set: DeletionSet, counts: Counts, wanted: Sequence[Record]) -> dict[int, dict[str, Any]]:
    """What master's half needs of each tenant, as `marker.content` has it of one."""
    contents: dict[int, dict[str, Any]] = {
        record.tenant_id: {"found": {}, "gone": {}, "deleted": {}, "staying": []} for record in wanted
    }
    for table in deletion_set.model.of(SHARD):
        goes = deletion_set.all_rows_go(table)
        for tenant_id, content in contents.items():
            rows, _ = counts[table].get(tenant_id, (0, 0))
            content["deleted"][str(table)] = rows if goes else 0
    for link in marker.crossing(deletion_set.model):
        values = _values(deletion_set.row_sets, link)
        for tenant_id, content in contents.items():
            content["found"][str(link)] = values.get(tenant_id, [])
            content["gone"][str(link)] = content["found"][str(link)] if deletion_set.all_rows_go(link.parent) else []
    return contents


def _values(found: RowSets, link: Link) -> dict[int, list[Key]]:
    """The keys by which master's rows are found through a shard, by tenant."""
    columns = (TENANT, *link.parent_columns)
    query = SQL("SELECT DISTINCT {} FROM {}").format(SQL(", ").join(map(Identifier, columns)), found.of(link.parent))
    values: dict[int, list[Key]] = {}
    for row in found.placement.sessions[SHARD].keys(query, doing=f"reading the keys of {link.parent}"):
        if None not in row:
            values.setdefault(row[0], []).append(row[1:] if len(row) > 2 else row[1])
    return values


def _known(model: Model, noted: Mapping[int, Mapping[str, Any]], what: str) -> dict[Link, Known]:
    return {
        link: [(tenant_id, key) for tenant_id, content in noted.items() for key in content[what][str(link)]]
        for link in marker.crossing(model)
    }
