"""An index of ids: it finds the archives that hold a row of master, by table and integer key."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from archiver.catalog.model import MASTER, TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.postgres.own_schema import ready
from archiver.postgres.schema import Schema, Table
from archiver.postgres.session import SQL, Literal, Session
from archiver.records import archive_record
from archiver.records.archive_record import Record
from archiver.records.state import State

WHOLE_NUMBERS = ("smallint", "integer", "bigint")


def write(session: Session, record: Record, ids: Mapping[str, Sequence[int]]) -> None:
    """Write the ids of all rows of master in an archive, by table; existing entries stay as they are."""
    if ids:
        lines = (
            SQL("({}, {}, {}::bigint[])").format(Literal(record.id), Literal(table), Literal(list(of_table)))
            for table, of_table in ids.items()
        )
        query = SQL("INSERT INTO archiver.ids (record_id, table_name, ids) VALUES {} ON CONFLICT DO NOTHING")
        session.execute(query.format(SQL(", ").join(lines)), doing="writing the index of ids")


def holders(session: Session, table: str, row_id: int) -> tuple[Record, ...]:
    """Return the records of the archives that hold the row of that id, live or not."""
    if not ready(session):
        return ()
    query = "SELECT record_id FROM archiver.ids WHERE table_name = %s AND ids @> ARRAY[%s]::bigint[]"
    rows = session.rows(query, (table, row_id), doing="looking for an id")
    return archive_record.of_ids(session, [row[0] for row in rows])


def missing(session: Session) -> tuple[Record, ...]:
    """Return the records of archives without an index: an older version of this tool made them."""
    if not ready(session):
        return ()
    query = (
        "SELECT id FROM archiver.archives a WHERE kind = 'tenant' AND state = %s"
        " AND NOT EXISTS (SELECT 1 FROM archiver.ids i WHERE i.record_id = a.id)"
    )
    rows = session.rows(query, (State.ARCHIVED.value,), doing="looking for archives without an index")
    return archive_record.of_ids(session, [row[0] for row in rows])


def indexed(schema: Schema) -> tuple[str, ...]:
    """Return the tables of master that are indexed: those with a primary key of one integer."""
    return tuple(name for name, shape in schema.tables.items() if _has_integer_key(shape))


def ids_in(archive: Archive) -> dict[str, list[int]]:
    """Return the ids in an archive, by table, as `write` takes them."""
    schema = archive.manifest.schemas[MASTER]
    return {name: ids for name in indexed(schema) if (ids := list(_ids(archive, name, schema.tables[name])))}


def _has_integer_key(shape: Table) -> bool:
    return len(shape.primary_key) == 1 and shape.type_of(shape.primary_key[0]) in WHOLE_NUMBERS


def _ids(archive: Archive, name: str, shape: Table) -> Iterator[int]:
    position = [column.name for column in shape.copied].index(shape.primary_key[0])
    for line in archive.open(layout.member(TableName(MASTER, name))):
        yield int(line.split(b"\t", position + 1)[position])
