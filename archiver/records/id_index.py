"""An index of ids: it finds the archives that hold a row of master, by table and primary key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archiver.catalog.model import MASTER, TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.format.copied_keys import keys_in
from archiver.postgres.own_schema import ready
from archiver.postgres.schema import WHOLE_NUMBERS, Schema, Table
from archiver.postgres.session import SQL, Composable, Identifier, Literal, Session
from archiver.records import archive_record
from archiver.records.archive_record import Record
from archiver.records.archives import ArchiveRecord
from archiver.records.state import State
from inventory.keys import Key, key_of, key_text

# Types whose values are the same text in a query, in an archive and as they are typed.
_INDEXED = (*WHOLE_NUMBERS, "uuid", "text", "character varying", "date")


def write(session: Session, record: Record | ArchiveRecord, ids: Mapping[str, Sequence[Key]]) -> None:
    """Write the ids of all rows of master in an archive, by table; existing entries stay as they are."""
    if ids:
        lines = (
            SQL("({}, {}, {}::bigint[], {}::text[])").format(
                Literal(record.id),
                Literal(table),
                Literal([each for each in of_table if isinstance(each, int)]),
                Literal([key_text(each) for each in of_table if not isinstance(each, int)]),
            )
            for table, of_table in ids.items()
        )
        query = SQL("INSERT INTO archiver.ids (record_id, table_name, ids, keys) VALUES {} ON CONFLICT DO NOTHING")
        session.execute(query.format(SQL(", ").join(lines)), doing="writing the index of ids")


def holders(session: Session, table: str, row_id: Key) -> tuple[Record, ...]:
    """Return the records of the archives that hold the row of that id, live or not."""
    if not ready(session):
        return ()
    query, value = "SELECT record_id FROM archiver.ids WHERE table_name = %s AND ", row_id
    if isinstance(row_id, int):
        query += "ids @> ARRAY[%s]::bigint[]"
    else:
        query, value = query + "keys @> ARRAY[%s]::text[]", key_text(row_id)
    rows = session.rows(query, (table, value), doing="looking for an id")
    return archive_record.of_ids(session, [row[0] for row in rows])


def missing(session: Session, table: str) -> tuple[Record, ...]:
    """Return the records of archives with rows of a table and no index of it: an older version made them."""
    if not ready(session):
        return ()
    query = (
        "SELECT id FROM archiver.archives a WHERE kind = 'tenant' AND state = %s"
        " AND (members = '{}' OR (members -> %s ->> 'rows')::bigint > 0)"
        " AND NOT EXISTS (SELECT 1 FROM archiver.ids i WHERE i.record_id = a.id AND i.table_name = %s)"
    )
    args = (State.ARCHIVED.value, layout.member(TableName(MASTER, table)), table)
    rows = session.rows(query, args, doing="looking for archives without an index")
    return archive_record.of_ids(session, [row[0] for row in rows])


def indexed(schema: Schema) -> tuple[str, ...]:
    """Return the tables of master that are indexed: those with a primary key that everything reads alike."""
    return tuple(
        name
        for name, shape in schema.tables.items()
        if shape.primary_key and all(_kind(shape, column) in _INDEXED for column in shape.primary_key)
    )


def is_number(shape: Table) -> bool:
    """True if the primary key of a table is one whole number."""
    return len(shape.primary_key) == 1 and shape.type_of(shape.primary_key[0]) in WHOLE_NUMBERS


def keys_as_text(shape: Table, alias: str) -> Composable:
    """SQL: a row's primary key as `key_text` writes it."""
    parts = [
        SQL("{}::text" if shape.type_of(name) in WHOLE_NUMBERS else "to_json({}::text)::text").format(
            Identifier(alias, name)
        )
        for name in shape.primary_key
    ]
    return SQL("'[' || {} || ']'").format(SQL(" || ',' || ").join(parts)) if len(parts) > 1 else parts[0]


def ids_in(archive: Archive) -> dict[str, list[Key]]:
    """Return the ids in an archive, by table, as `write` takes them."""
    schema = archive.manifest.schemas[MASTER]
    return {name: ids for name in indexed(schema) if (ids := _ids(archive, name, schema.tables[name]))}


def _kind(shape: Table, column: str) -> str:
    return shape.type_of(column).partition("(")[0]


def _ids(archive: Archive, name: str, shape: Table) -> list[Key]:
    keys = keys_in(archive, TableName(MASTER, name), shape.primary_key)
    return [key_of(key if isinstance(key, tuple) else (key,)) for key in keys]
