"""An archive looked into without bringing it back: one table's rows as they are, or a query over all of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from archiver.catalog.model import TableName
from archiver.format import layout
from archiver.format.bundle import Archive, opened
from archiver.format.encryption import Keys, refuse_if_closed
from archiver.format.manifest import Manifest
from archiver.format.rows import JOIN
from archiver.format.spool_folder import work_folder
from archiver.load.load import load
from archiver.postgres.schema import NAMESPACE, Schema, ddl
from archiver.postgres.session import SQL, DatabaseError, Identifier, Session, Sink
from archiver.records.archive_record import Record
from archiver.runs.context import fetch
from archiver.store.bucket import Bucket
from archiver.verify.verify import belongs_to
from errors import UsageError


@contextmanager
def fetched(bucket: Bucket, record: Record, keys: Keys, home: Path) -> Iterator[Archive]:
    """A record's archive, fetched and held against the record and its own manifest; `home` is where it lies meanwhile.

    Raises DamagedError where it is not what was stored, or another tenant's; UsageError where no key opens it.
    """
    refuse_if_closed([record.location], keys)
    with work_folder(home) as work, opened(fetch(bucket, record, work), keys) as archive:
        belongs_to(archive, record.tenant_id, record.year)
        yield archive


def cat(archive: Archive, table: TableName, out: IO[bytes], *, header: bool = False) -> None:
    """Writes a table's rows, in COPY's text format as they lie in the archive; `header`: the column names first."""
    if header:
        columns = archive.manifest.schemas[table.database].tables[table.table].copied
        out.write("\t".join(column.name for column in columns).encode() + b"\n")
    shutil.copyfileobj(archive.open(layout.member(table)), out, JOIN)


def table_in(manifest: Manifest, name: str, database: str = "") -> TableName:
    """The archive's table of that name; UsageError where there is none, or one in each database and none is named."""
    there = [TableName(database, table) for database, schema in manifest.schemas.items() for table in schema.tables]
    found = [table for table in there if table.table == name and database in ("", table.database)]
    if not found:
        names = ", ".join(sorted(map(str, there)))
        raise UsageError(f"There is no table {name!r} in the archive.", hint=f"There are: {names}.")
    if len(found) > 1:
        raise _ambiguous(name)
    return found[0]


def query(archive: Archive, text: str, scratch: Session, out: Sink, database: str = "") -> None:
    """Writes the answer of one SELECT over the archive's tables as CSV with a header.

    The tables are there for this one transaction, of which nothing stays. Raises UsageError with PostgreSQL's words
    where it refuses the query.
    """
    with scratch.rolled_back():
        _load(archive, _schemas(archive.manifest, database), scratch)
        scratch.execute(_ONE_QUERY, doing="preparing the scratch database")
        scratch.execute(SQL("SET LOCAL search_path TO {}").format(Identifier(NAMESPACE)))
        scratch.execute("SET TRANSACTION READ ONLY", doing="preparing the scratch database")
        _answer(text.strip().rstrip(";"), scratch, out)


def _answer(text: str, scratch: Session, out: Sink) -> None:
    try:
        scratch.rows("SELECT pg_temp.one_query(%s)", (text,), doing="asking")
        scratch.csv_out(text, out, doing="asking")
    except DatabaseError as error:
        if error.transient:
            raise
        hint = "One SELECT is wanted; inv archive.show says which tables there are."
        raise UsageError(str(error), hint=hint) from None


def _load(archive: Archive, schemas: dict[str, Schema], scratch: Session) -> None:
    # A type that both databases have is created once.
    for statement in dict.fromkeys(statement for schema in schemas.values() for statement in ddl(schema)):
        scratch.execute(statement, doing="creating a table in the scratch database")
    for database, schema in schemas.items():
        for table in schema.tables:
            load(scratch, schema.tables[table], TableName(database, table), table, archive)


def _schemas(manifest: Manifest, database: str) -> dict[str, Schema]:
    """What is loaded: both databases into one, unless one of them is named."""
    if database and database not in manifest.schemas:
        raise UsageError(f"--database: expected {' or '.join(manifest.schemas)}, got {database!r}.")
    schemas = {name: schema for name, schema in manifest.schemas.items() if database in ("", name)}
    names = [table for schema in schemas.values() for table in schema.tables]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise _ambiguous(name)
    return schemas


def _ambiguous(name: str) -> UsageError:
    return UsageError(f"A table {name} is in master and in the shard.", hint="Add --database=master or shard.")


# The server itself says whether a text is one query: pasted into COPY, another text could end it and begin anew.
_ONE_QUERY = """
CREATE FUNCTION pg_temp.one_query(query text) RETURNS void LANGUAGE plpgsql AS
    $$ DECLARE answer refcursor; BEGIN OPEN answer FOR EXECUTE query; CLOSE answer; END $$
"""
