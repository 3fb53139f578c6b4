"""The keys of deleted rows, by table: the audit later looks for rows that still reference them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archiver.postgres.session import Session
from archiver.records.archive_record import ArchiveState, Record
from inventory.keys import Key


def remember(session: Session, record: Record, keys: Mapping[str, Sequence[int]]) -> None:
    """Write the keys of a record's deleted rows, by table."""
    for table, ids in keys.items():
        session.execute(
            "INSERT INTO archiver.gone (record_id, table_name, ids) VALUES (%s, %s, %s::bigint[])",
            (record.id, table, list(ids)),
            doing="writing the deleted keys",
        )


def forget(session: Session, record: Record, keys: Mapping[str, Sequence[int]]) -> None:
    """Remove the keys of rows that are live again, by table."""
    for table, ids in keys.items():
        session.execute(
            "UPDATE archiver.gone SET ids = ARRAY(SELECT unnest(ids) EXCEPT SELECT unnest(%s::bigint[]))"
            " WHERE record_id = %s AND table_name = %s",
            (list(ids), record.id, table),
            doing="removing the keys that are live again",
        )


def of_table(session: Session, year: int, table: str) -> dict[Key, list[int]]:
    """Return the keys of a table's deleted rows, by archived tenant."""
    return dict(
        session.rows(
            "SELECT r.tenant_id, g.ids FROM archiver.gone g JOIN archiver.records r ON r.id = g.record_id"
            " WHERE r.year = %s AND g.table_name = %s AND r.state = %s",
            (year, table, ArchiveState.ARCHIVED.value),
            doing="reading the deleted keys",
        )
    )
