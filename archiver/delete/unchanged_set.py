"""Many tenants proved at once, under the lock: their rows are as archived, by row version, else by content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from archiver.catalog.model import TableName
from archiver.delete.unchanged import Stored, difference, refusal, same_content
from archiver.extract.row_sets import RowSets
from archiver.format import layout
from archiver.format.rows import Spool
from archiver.postgres.schema import TENANT, column_list, identifier
from archiver.postgres.session import SQL, Identifier, Literal, Session
from archiver.records.archive_record import Record
from errors import CutoverError

# By table and tenant: the rows that are there, and how many of them were written since they were archived.
Counts = Mapping[TableName, Mapping[int, tuple[int, int]]]


def counted(row_sets: RowSets, tables: Iterable[TableName], wanted: Sequence[Record]) -> Counts:
    """Counts the tenants' rows, one pass a table."""
    return {table: _counted(row_sets, table, wanted) for table in tables}


def unwritten(session: Session, tables: Sequence[TableName], wanted: Sequence[Record]) -> dict[TableName, int] | None:
    """How many rows each table has, where nobody wrote to any of them since the tenants were read; else None.

    Then what was found there can only have become less, and to count what goes is proof enough.
    """
    rows = {}
    for table in tables:
        since = _oldest(session, {record.snapshots.get(table.database, "") for record in wanted})
        if since is None:
            return None
        query = SQL("SELECT count(*), count(*) FILTER (WHERE age(xmin) <= age({}::xid)) FROM {}").format(
            Literal(since), identifier(table.table)
        )
        rows[table], written = session.row(query, doing=f"looking who wrote to {table}")
        if written:
            return None
    return rows


def archived(tables: Iterable[TableName], wanted: Sequence[Record]) -> Counts:
    """What the tenants' records say of their rows."""
    return {
        table: {record.tenant_id: (record.members[layout.member(table)].rows, 0) for record in wanted}
        for table in tables
    }


def _counted(row_sets: RowSets, table: TableName, wanted: Sequence[Record]) -> dict[int, tuple[int, int]]:
    session = row_sets.placement.sessions[table.database]
    since = _oldest(session, {record.snapshots.get(table.database, "") for record in wanted})
    written = SQL("age(c.xmin) <= age({}::xid)").format(Literal(since)) if since else SQL("true")
    query = SQL("SELECT m.{tenant}, count(*), count(*) FILTER (WHERE {written}) FROM {source} GROUP BY 1").format(
        tenant=Identifier(TENANT), written=written, source=row_sets.source(table)
    )
    return {row[0]: (row[1], row[2]) for row in session.rows(query, doing=f"proving the rows of {table}")}


def _oldest(session: Session, snapshots: set[str]) -> str | None:
    """The snapshot before all others; none where somebody has none, or one that this server has not reached yet."""
    if "" in snapshots:
        return None
    query = "SELECT x FROM unnest(%s::text[]) x ORDER BY age(x::xid) DESC LIMIT 1"
    ahead = "SELECT count(*) FROM unnest(%s::text[]) x WHERE age(x::xid) < 0"
    if session.row(ahead, (list(snapshots),), doing="reading the snapshots")[0]:
        return None
    return str(session.row(query, (list(snapshots),), doing="reading the snapshots")[0])


def changed(
    row_sets: RowSets,
    now: Counts,
    wanted: Sequence[Record],
    work: Path,
    stored: Stored,
) -> dict[int, CutoverError]:
    """The tenants whose rows are not as archived, and what is said of each."""
    failed: dict[int, CutoverError] = {}
    for record in wanted:
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
    row_sets: RowSets, table: TableName, found: tuple[int, int], record: Record, path: Path, stored: Stored
) -> bool:
    rows, written = found
    if rows != record.members[layout.member(table)].rows:
        return False
    return not written or _same_content(row_sets, table, record, path, stored)


def _same_content(row_sets: RowSets, table: TableName, record: Record, path: Path, stored: Stored) -> bool:
    query = SQL("SELECT {} FROM {} WHERE m.{} = {}").format(
        column_list(row_sets.shape(table), "c"), row_sets.source(table), Identifier(TENANT), Literal(record.tenant_id)
    )
    spool = Spool(path)
    rows = row_sets.placement.sessions[table.database].copy_out(query, spool, doing=f"comparing {table}")
    return same_content(record, table, spool.finish(rows), path, stored)
