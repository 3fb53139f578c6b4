"""An index of rows that stayed live beside their copy in an archive: on restore it tells where a live row came from."""

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
    """A row as an archive holds it and the live database had it at that moment."""

    table: str  # master.users
    key: str  # its primary key as text: (12)
    digest: str


def key_text(shape: Table, alias: str) -> Composable:
    """A row's primary key as text."""
    return row_text(shape.primary_key, alias)


def digest(shape: Table, alias: str) -> Composable:
    """SHA-256 of a row as text, over the columns that archives hold."""
    text = row_text((column.name for column in shape.copied), alias)
    return SQL("encode(sha256(convert_to({}, 'UTF8')), 'hex')").format(text)


def retained(
    session: Session, table: TableName, shape: Table, found: SelectedRows, gone: SelectedRows
) -> list[RetainedRow]:
    """The rows found that do not go; none of a table without key, where a row says all of itself."""
    going = set(gone.rows)
    rows = [row for row in found.rows if row not in going]
    if not rows or not shape.primary_key:
        return []
    query = SQL("SELECT {}, {} FROM {} l WHERE {}").format(
        key_text(shape, "l"),
        digest(shape, "l"),
        identifier(table.table),
        among(shape, found.identity, map(found.key_of(found.identity), rows)),
    )
    found_now = session.rows(query, doing=f"noting the rows of {table} that stay")
    return [RetainedRow(table=str(table), key=key, digest=text) for key, text in found_now]


def remember(master: Session, record: Record, rows: Sequence[RetainedRow]) -> None:
    """Notes the rows that an archive left live; belongs into the transaction that ends the deletion."""
    master.execute(
        "INSERT INTO archiver.kept (record_id, table_name, key, digest)"
        " SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[])",
        (record.id, *_columns(rows)),
        doing="noting the rows that stay",
    )


def of_record(master: Session, record: Record) -> list[RetainedRow]:
    """The rows that an archive left live."""
    rows = master.rows(
        "SELECT table_name, key, digest FROM archiver.kept WHERE record_id = %s ORDER BY table_name, length(key), key",
        (record.id,),
        doing="reading which rows stayed",
    )
    return [RetainedRow(table=table, key=key, digest=text) for table, key, text in rows]


def from_older(master: Session, record: Record, rows: Collection[RetainedRow]) -> list[RetainedRow]:
    """Which of these live rows came unchanged out of an archive that is older than the record's.

    Only what was restored, whole or in part, came out of its archive: else the row was never away.
    """
    found = master.rows(
        "SELECT DISTINCT w.* FROM unnest(%s::text[], %s::text[], %s::text[]) w (table_name, key, digest)"
        " JOIN archiver.kept k USING (table_name, key, digest) WHERE k.archived_at < %s"
        " AND NOT EXISTS (SELECT 1 FROM archiver.records r WHERE r.id = k.record_id AND r.partial = '[]')",
        (*_columns(rows), record.archived_at),
        doing="asking where live rows came from",
    )
    return [RetainedRow(table=table, key=key, digest=text) for table, key, text in found]


def update_migrated(master: Session, record: Record, table: TableName, rows: Collection[RetainedRow]) -> None:
    """Notes what a migration made of the rows of an archived table that stayed live, under its name of today."""
    master.execute(
        "UPDATE archiver.kept k SET table_name = w.table_name, digest = w.digest"
        " FROM unnest(%s::text[], %s::text[], %s::text[]) w (table_name, key, digest)"
        " WHERE k.record_id = %s AND k.table_name = %s AND k.key = w.key",
        (*_columns(rows), record.id, str(table)),
        doing="noting what a migration made of the rows that stayed",
    )


def forget(master: Session) -> None:
    """Drops what no archive will ask for: only one that is newer does, and only while it has a record."""
    master.execute(
        "DELETE FROM archiver.kept k WHERE NOT EXISTS (SELECT 1 FROM archiver.records r WHERE r.id = k.record_id"
        " OR r.archived_at > k.archived_at)",
        doing="forgetting which rows stayed",
    )


def drop(master: Session, record: Record) -> None:
    """Drops what was noted of an archive that is dropped: nothing can have come out of it."""
    master.execute("DELETE FROM archiver.kept WHERE record_id = %s", (record.id,), doing="forgetting which rows stayed")


def _columns(rows: Collection[RetainedRow]) -> tuple[list[str], list[str], list[str]]:
    return [row.table for row in rows], [row.key for row in rows], [row.digest for row in rows]
