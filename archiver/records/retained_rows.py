"""An index of rows that stayed live although an archive holds a copy: a restore finds the origin of a live row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from archiver.catalog.model import TableName
from archiver.postgres.schema import Table, identifier, row_text
from archiver.postgres.selection import SelectedRows, among
from archiver.postgres.session import SQL, Composable, Session
from archiver.records.archive_record import Record


@dataclass(frozen=True, kw_only=True)
class RetainedRow:
    """A retained row, as it was when it was archived."""

    table: str  # master.users
    key: str  # its primary key as text: (12)
    digest: str


def key_text(shape: Table, alias: str) -> Composable:
    """SQL: a row's primary key as text."""
    return row_text(shape.primary_key, alias)


def digest(shape: Table, alias: str) -> Composable:
    """SQL: the SHA-256 of a row as text, over the columns that archives hold."""
    text = row_text((column.name for column in shape.copied), alias)
    return SQL("encode(sha256(convert_to({}, 'UTF8')), 'hex')").format(text)


def retained(
    session: Session, table: TableName, shape: Table, selected: SelectedRows, to_delete: SelectedRows
) -> list[RetainedRow]:
    """Return the selected rows that are not to be deleted; empty for a table without a primary key."""
    deleted = set(to_delete.rows)
    rows = [row for row in selected.rows if row not in deleted]
    if not rows or not shape.primary_key:
        return []
    query = SQL("SELECT {}, {} FROM {} l WHERE {}").format(
        key_text(shape, "l"),
        digest(shape, "l"),
        identifier(table.table),
        among(shape, selected.identity, map(selected.key_of(selected.identity), rows)),
    )
    live = session.rows(query, doing=f"reading the retained rows of {table}")
    return [RetainedRow(table=str(table), key=key, digest=text) for key, text in live]


def remember(master: Session, record: Record, rows: Sequence[RetainedRow]) -> None:
    """Write the rows that a deletion left live. Call it in the transaction that ends the deletion."""
    master.execute(
        "INSERT INTO archiver.kept (record_id, table_name, key, digest)"
        " SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[])",
        (record.id, *_columns(rows)),
        doing="writing the retained rows",
    )


def of_record(master: Session, record: Record) -> list[RetainedRow]:
    """Return the rows that the deletion of a record left live."""
    rows = master.rows(
        "SELECT table_name, key, digest FROM archiver.kept WHERE record_id = %s ORDER BY table_name, length(key), key",
        (record.id,),
        doing="reading the retained rows",
    )
    return [RetainedRow(table=table, key=key, digest=text) for table, key, text in rows]


def from_older(master: Session, record: Record, rows: Collection[RetainedRow]) -> list[RetainedRow]:
    """Return those of these live rows that were restored, unchanged, from an archive older than the record's.

    The older archive is the one with the smaller record id: a clock may have been set back. A row whose older archive
    was never restored, not even in part, is left out: it was never deleted.
    """
    restored = master.rows(
        "SELECT DISTINCT w.* FROM unnest(%s::text[], %s::text[], %s::text[]) w (table_name, key, digest)"
        " JOIN archiver.kept k USING (table_name, key, digest) WHERE k.record_id < %s"
        " AND NOT EXISTS (SELECT 1 FROM archiver.archives a"
        " WHERE a.kind = 'tenant' AND a.id = k.record_id AND a.partial = '[]')",
        (*_columns(rows), record.id),
        doing="looking for the origin of live rows",
    )
    return [RetainedRow(table=table, key=key, digest=text) for table, key, text in restored]


def update_migrated(master: Session, record: Record, table: TableName, rows: Collection[RetainedRow]) -> None:
    """Write the retained rows of an archived table as a migration changed them, under the table's name of today."""
    master.execute(
        "UPDATE archiver.kept k SET table_name = w.table_name, digest = w.digest"
        " FROM unnest(%s::text[], %s::text[], %s::text[]) w (table_name, key, digest)"
        " WHERE k.record_id = %s AND k.table_name = %s AND k.key = w.key",
        (*_columns(rows), record.id, str(table)),
        doing="updating the retained rows after a migration",
    )


def forget(master: Session) -> None:
    """Delete entries that no restore will need: neither their record nor a newer one exists."""
    master.execute(
        "DELETE FROM archiver.kept k"
        " WHERE NOT EXISTS (SELECT 1 FROM archiver.archives a WHERE a.kind = 'tenant' AND a.id >= k.record_id)",
        doing="deleting old entries of retained rows",
    )


def drop(master: Session, record: Record) -> None:
    """Delete the entries of an archive that is dropped: no live row can come from it."""
    query = "DELETE FROM archiver.kept WHERE record_id = %s"
    master.execute(query, (record.id,), doing="deleting the entries of retained rows")


def _columns(rows: Collection[RetainedRow]) -> tuple[list[str], list[str], list[str]]:
    return [row.table for row in rows], [row.key for row in rows], [row.digest for row in rows]
