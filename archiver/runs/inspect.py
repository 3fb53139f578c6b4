"""Read an archive without restoring it: one table's rows, or a query over all tables."""

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
from archiver.load.sent import send
from archiver.postgres.schema import NAMESPACE, Schema, column_list, ddl, identifier
from archiver.postgres.session import SQL, DatabaseError, Identifier, Session, Sink
from archiver.records.archives import ArchiveRecord
from archiver.runs.context import fetch
from archiver.runs.kind import ArchiveOfKind
from archiver.store.bucket import Bucket
from archiver.verify.verify import belongs_to
from errors import UsageError


def refuse_several(archive: ArchiveOfKind) -> None:
    """Raise UsageError if an object holds several archives: none of its tables can be named."""
    if not archive.kind.one_tarball:
        raise UsageError(
            f"{archive.record.location} holds several archives, and no table itself.",
            hint="Fetch it; its README explains how to open one of them.",
        )


@contextmanager
def fetched(bucket: Bucket, record: ArchiveRecord, keys: Keys, home: Path) -> Iterator[Archive]:
    """Fetch and open a record's archive, checked against the record and its own manifest; it lies in `home` meanwhile.

    Raises DamagedError if it is not what was stored, or another tenant's; UsageError if no key opens it.
    """
    refuse_if_closed([record.location], keys)
    with work_folder(home) as work, opened(fetch(bucket, record, work), keys) as archive:
        belongs_to(archive, record.key, record.year)
        yield archive


def cat(archive: Archive, table: TableName, out: IO[bytes], *, header: bool = False) -> None:
    """Write a table's rows in COPY text format, as stored in the archive; `header` puts the column names first."""
    if header:
        columns = archive.manifest.schemas[table.database].tables[table.table].copied
        out.write("\t".join(column.name for column in columns).encode() + b"\n")
    shutil.copyfileobj(archive.open(layout.member(table)), out, JOIN)


def table_in(manifest: Manifest, name: str, database: str = "") -> TableName:
    """Return the archive's table of that name; raise UsageError if there is none, or one in each database."""
    tables = [TableName(database, table) for database, schema in manifest.schemas.items() for table in schema.tables]
    matches = [table for table in tables if table.table == name and database in ("", table.database)]
    if not matches:
        names = ", ".join(sorted(map(str, tables)))
        raise UsageError(f"There is no table {name!r} in the archive.", hint=f"There are: {names}.")
    if len(matches) > 1:
        raise _ambiguous(name)
    return matches[0]


def query(archive: Archive, text: str, scratch: Session, out: Sink, database: str = "") -> None:
    """Write the result of one SELECT over the archive's tables as CSV with a header.

    The tables exist in this transaction only, which is rolled back. Raises UsageError with PostgreSQL's message if it
    rejects the query.
    """
    with scratch.rolled_back():
        _load(archive, _schemas(archive.manifest, database), scratch)
        scratch.execute(_ONE_QUERY, doing="preparing the scratch database")
        scratch.execute(SQL("SET LOCAL search_path TO {}").format(Identifier(NAMESPACE)))
        scratch.execute("SET TRANSACTION READ ONLY", doing="preparing the scratch database")
        _answer(text.strip().rstrip(";"), scratch, out)


def _answer(text: str, scratch: Session, out: Sink) -> None:
    try:
        if words := scratch.row("SELECT pg_temp.one_query(%s)", (text,), doing="asking")[0]:
            raise _refused(f"Asking refused: {words}.")
        scratch.csv_out(text, out, doing="asking")
    except DatabaseError as error:
        if error.transient:
            raise
        raise _refused(str(error)) from None


def _refused(sentence: str) -> UsageError:
    return UsageError(sentence, hint="Give one SELECT; inv archive.show lists the tables.")


def _load(archive: Archive, schemas: dict[str, Schema], scratch: Session) -> None:
    # A type that both databases have is created once.
    for statement in dict.fromkeys(statement for schema in schemas.values() for statement in ddl(schema)):
        scratch.execute(statement, doing="creating a table in the scratch database")
    for database, schema in schemas.items():
        for table, shape in schema.tables.items():
            target = SQL("{} ({})").format(identifier(table), column_list(shape))
            send(scratch, target, archive, TableName(database, table), doing=f"loading {database}.{table}")


def _schemas(manifest: Manifest, database: str) -> dict[str, Schema]:
    """Return the schemas to load: those of both databases, unless one is named."""
    if database and database not in manifest.schemas:
        raise UsageError(f"--database: expected {' or '.join(manifest.schemas)}, got {database!r}.")
    schemas = {name: schema for name, schema in manifest.schemas.items() if database in ("", name)}
    names = [table for schema in schemas.values() for table in schema.tables]
    for name in sorted({name for name in names if names.count(name) > 1}):
        raise _ambiguous(name)
    return schemas


def _ambiguous(name: str) -> UsageError:
    return UsageError(f"A table {name} is in master and in the shard.", hint="Add --database=master or shard.")


# The server itself decides if a text is one query: pasted into COPY, another text could end the query and start anew.
# Its complaint about the text is returned, not raised: of an error below a function only the code's name is shown.
_ONE_QUERY = """
CREATE FUNCTION pg_temp.one_query(query text) RETURNS text LANGUAGE plpgsql AS
    $$ DECLARE answer refcursor;
    BEGIN OPEN answer FOR EXECUTE query; CLOSE answer; RETURN NULL;
    EXCEPTION WHEN syntax_error_or_access_rule_violation THEN RETURN SQLERRM; END $$
"""
