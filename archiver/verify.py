"""An archive proved by restoring it: loaded into a scratch database, read back, compared, and rolled back."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable
from dataclasses import dataclass

from archiver import layout
from archiver.bundle import Archive
from archiver.catalog import Link, Model, TableName
from archiver.loading.load import load
from archiver.manifest import Manifest, Member
from archiver.postgres import SQL, Composable, Session
from archiver.schema import Schema, column_list, ddl, identifier
from archiver.selection import matched, narrowed
from errors import DamagedError, RefusedError


@dataclass(frozen=True, kw_only=True)
class Verified:
    """The proof that an archive holds what it says and can be restored; a deletion asks for one."""

    manifest: Manifest
    seconds: float  # to restore into the scratch database


def verify(archive: Archive, tenant_id: int, year: int, scratch: Session, model: Model) -> Verified:
    """Restores an archive into the scratch database and compares rows and content; nothing stays there.

    Raises RefusedError where the archive is another tenant's, or does not come back as it went in.
    """
    belongs_to(archive, tenant_id, year)
    began = time.monotonic()
    for database in archive.manifest.schemas:
        with scratch.rolled_back():
            _restore(archive, database, scratch)
            _prove_links(archive.manifest, database, scratch, model)
    return Verified(manifest=archive.manifest, seconds=time.monotonic() - began)


def belongs_to(archive: Archive, tenant_id: int, year: int) -> None:
    """DamagedError unless the archive is this tenant's of this year."""
    manifest = archive.manifest
    if (manifest.tenant_id, manifest.year) != (tenant_id, year):
        noun = manifest.noun
        raise DamagedError(
            f"{archive.name} is the archive of {noun} {manifest.tenant_id}, year {manifest.year}, "
            f"not of {noun} {tenant_id}, year {year}."
        )


def _restore(archive: Archive, database: str, scratch: Session) -> None:
    schema = archive.manifest.schemas[database]
    for statement in ddl(schema):
        scratch.execute(statement, doing="creating a table in the scratch database")
    for table in schema.tables:
        name = TableName(database, table)
        wanted = archive.manifest.members[layout.member(name)]
        rows = load(scratch, schema.tables[table], name, table, archive)
        came_back = _read_back(scratch, schema, name)
        if rows != wanted.rows or came_back != wanted:
            raise RefusedError(
                f"Verifying {name} failed: {came_back.rows} of {wanted.rows} rows came back, or with other content."
            )


class _Digest:
    """A sink that keeps rows' bytes and SHA-256 only."""

    def __init__(self) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0

    def write(self, data: bytes, /) -> int:
        """Takes one row."""
        self.sha256.update(data)
        self.size += len(data)
        return len(data)


def _read_back(session: Session, schema: Schema, table: TableName) -> Member:
    """Reads the table as it lies: rows loaded into an empty table come back in the order of the member."""
    sink = _Digest()
    query = SQL("SELECT {} FROM {}").format(column_list(schema.tables[table.table]), identifier(table.table))
    rows = session.copy_out(query, sink, doing=f"reading {table} back")
    return Member(rows=rows, bytes=sink.size, sha256=sink.sha256.hexdigest())


def _prove_links(manifest: Manifest, database: str, scratch: Session, model: Model) -> None:
    """Every row must be found by one of its links; links across databases can't be seen here, nor those that name a
    table or column as it is called today only."""
    schema = manifest.schemas[database]
    for table in model.of(database):
        links = model.found_by(table)
        if table == model.root or not all(
            link.parent.database == database and _sayable(link, schema) for link in links
        ):
            continue
        strays = scratch.row(_strays(table, links), doing=f"proving the links of {table}")[0]
        if strays:
            raise RefusedError(f"Verifying {table} failed: {strays} of its rows belong to nobody in the archive.")


def _sayable(link: Link, schema: Schema) -> bool:
    """Whether an archive has the tables and columns of a link."""
    where = [link.where[0]] if link.where else []
    sides = ((link.child.table, [*link.columns, *where]), (link.parent.table, link.parent_columns))
    return all(
        table in schema.tables and {column.name for column in schema.tables[table].columns}.issuperset(columns)
        for table, columns in sides
    )


def _strays(table: TableName, links: Iterable[Link]) -> Composable:
    query = SQL("SELECT count(*) FROM {} c WHERE NOT coalesce({}, false)")
    return query.format(identifier(table.table), SQL(" OR ").join(_exists(link) for link in links))


def _exists(link: Link) -> Composable:
    found = SQL("EXISTS (SELECT 1 FROM {} p WHERE {})").format(identifier(link.parent.table), matched(link, "c", "p"))
    return narrowed(found, link, "c")
