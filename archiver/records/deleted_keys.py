"""The keys of deleted rows, by table: the audit later looks for rows that still reference them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from archiver.postgres.session import Session
from archiver.records import ledger
from archiver.records.archive_record import Record
from archiver.records.state import Kind, State
from inventory.keys import Key


def remember(session: Session, record: Record, keys: Mapping[str, Sequence[Key]]) -> None:
    """Write the keys of a record's deleted rows, by table: those that are whole numbers."""
    for table, ids in _numbers(keys):
        session.execute(
            "INSERT INTO archiver.gone (record_id, table_name, ids) VALUES (%s, %s, %s::bigint[])",
            (record.id, table, ids),
            doing="writing the deleted keys",
        )


def forget(session: Session, record: Record, keys: Mapping[str, Sequence[Key]]) -> None:
    """Remove the keys of rows that are live again, by table."""
    for table, ids in _numbers(keys):
        session.execute(
            "UPDATE archiver.gone SET ids = ARRAY(SELECT unnest(ids) EXCEPT SELECT unnest(%s::bigint[]))"
            " WHERE record_id = %s AND table_name = %s",
            (ids, record.id, table),
            doing="removing the keys that are live again",
        )


def _numbers(keys: Mapping[str, Sequence[Key]]) -> Iterator[tuple[str, list[int]]]:
    for table, of_table in keys.items():
        if ids := [each for each in of_table if isinstance(each, int)]:
            yield table, ids


def of_table(session: Session, year: int, table: str) -> dict[Key, list[int]]:
    """Return the keys of a table's deleted rows, by archived tenant."""
    rows = session.rows(
        "SELECT a.id, a.key, g.ids FROM archiver.gone g"
        " JOIN archiver.archives a ON (a.kind, a.id) = (g.kind, g.record_id)"
        " WHERE a.year = %s AND g.table_name = %s AND a.state = %s",
        (year, table, State.ARCHIVED.value),
        doing="reading the deleted keys",
    )
    return {ledger.key_in(session, Kind.TENANT, number, key): ids for number, key, ids in rows}
