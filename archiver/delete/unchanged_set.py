"""Verify many tenants at once, under lock: their rows are as archived, by row version, else by content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from archiver.catalog.model import TableName
from archiver.delete.unchanged import Stored, difference, refusal, same_content
from archiver.extract.row_sets import RowSets
from archiver.format import layout
from archiver.format.rows import Spool
from archiver.postgres import row_versions
from archiver.postgres.migrated import migrated_since
from archiver.postgres.schema import TENANT, column_list, identifier
from archiver.postgres.session import SQL, Identifier, Literal, Session
from archiver.records.archive_record import Record
from errors import CutoverError
from inventory.keys import Key

# By table and tenant: the number of live rows, and how many of them were written since they were archived.
Counts = Mapping[TableName, Mapping[Key, tuple[int, int]]]


def counted(row_sets: RowSets, tables: Sequence[TableName], records: Sequence[Record]) -> Counts:
    """Count the tenants' rows, one pass per table."""
    sessions = row_sets.placement.sessions
    since = {name: _oldest(sessions[name], name, records) for name in dict.fromkeys(each.database for each in tables)}
    return {table: _counted(row_sets, table, since[table.database]) for table in tables}


def unwritten(session: Session, tables: Sequence[TableName], records: Sequence[Record]) -> dict[TableName, int] | None:
    """Return the number of rows in each table if none was written since the tenants were read; else None.

    Then rows can only have been deleted since, and counting the rows to delete is proof enough.
    """
    rows: dict[TableName, int] = {}
    since = _oldest(session, tables[0].database, records) if tables else ""
    if since is None:
        return None
    for table in tables:
        query = SQL("SELECT count(*), count(*) FILTER (WHERE age(xmin) <= age({}::xid)) FROM {}").format(
            Literal(since), identifier(table.table)
        )
        rows[table], written = session.row(query, doing=f"checking {table} for rows written since")
        if written:
            return None
    return rows


def archived(tables: Iterable[TableName], records: Sequence[Record]) -> Counts:
    """Return the numbers of rows that the tenants' records hold."""
    return {
        table: {record.tenant_id: (record.members[layout.member(table)].rows, 0) for record in records}
        for table in tables
    }


def _counted(row_sets: RowSets, table: TableName, since: str | None) -> dict[Key, tuple[int, int]]:
    """Count the tenants' rows in one table, and those written since they were archived."""
    session = row_sets.placement.sessions[table.database]
    written = SQL("age(c.xmin) <= age({}::xid)").format(Literal(since)) if since else SQL("true")
    query = SQL("SELECT m.{tenant}, count(*), count(*) FILTER (WHERE {written}) FROM {source} GROUP BY 1").format(
        tenant=Identifier(TENANT), written=written, source=row_sets.source(table)
    )
    rows = session.rows(query, doing=f"verifying the rows of {table}")
    return {row_sets.tenant_ids[number]: (live, written) for number, live, written in rows}


def _oldest(session: Session, database: str, records: Sequence[Record]) -> str | None:
    """Return the oldest transaction id of the records' snapshots; None if row versions do not count here."""
    oldest = row_versions.oldest_trusted(session, {record.snapshots.get(database, "") for record in records})
    return None if oldest is None or migrated_since(session, oldest) else oldest


def changed(
    row_sets: RowSets,
    now: Counts,
    records: Sequence[Record],
    work: Path,
    stored: Stored,
) -> dict[Key, CutoverError]:
    """Return the tenants whose rows are not as archived, each with its error."""
    failed: dict[Key, CutoverError] = {}
    for record in records:
        try:
            differ = [
                difference(table, record.members[layout.member(table)].rows, of_table.get(record.tenant_id, (0, 0))[0])
                for table, of_table in now.items()
                if not _same(
                    row_sets,
                    table,
                    of_table.get(record.tenant_id, (0, 0)),
                    record,
                    work / f"{row_sets.placement.shard}.copy",
                    stored,
                )
            ]
            if differ:
                raise refusal(row_sets.model, record, differ)
        except CutoverError as error:
            failed[record.tenant_id] = error
    return failed


def _same(
    row_sets: RowSets, table: TableName, counts: tuple[int, int], record: Record, path: Path, stored: Stored
) -> bool:
    """True if a tenant's rows in one table are as archived."""
    rows, written = counts
    if rows != record.members[layout.member(table)].rows:
        return False
    return not written or _same_content(row_sets, table, record, path, stored)


def _same_content(row_sets: RowSets, table: TableName, record: Record, path: Path, stored: Stored) -> bool:
    """True if a tenant's live rows have the archived content."""
    query = SQL("SELECT {} FROM {} WHERE m.{} = {}").format(
        column_list(row_sets.shape(table), "c"),
        row_sets.source(table),
        Identifier(TENANT),
        Literal(row_sets.number_of[record.tenant_id]),
    )
    spool = Spool(path)
    rows = row_sets.placement.sessions[table.database].copy_out(query, spool, doing=f"comparing {table}")
    return same_content(record, table, spool.finish(rows), path, stored)
