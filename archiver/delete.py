"""Rows out of one database by identity, in an order that its foreign keys accept."""

from __future__ import annotations

from collections.abc import Mapping

from archiver.catalog import TableName
from archiver.postgres import SQL
from archiver.schema import identifier, load_order
from archiver.selection import Rows, among
from archiver.workplace import Site
from errors import RefusedError


def delete(site: Site, database: str, gone: Mapping[TableName, Rows]) -> None:
    """Deletes what names another row before what it names; whatever forbids it says so before a commit."""
    session, schema = site.sessions[database], site.schemas[database]
    for group in reversed(load_order(schema)):
        rows = {TableName(database, name): gone[TableName(database, name)] for name in group}
        _delete_together(site, database, {table: found for table, found in rows.items() if found.rows})
    session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")


def _delete_together(site: Site, database: str, rows: Mapping[TableName, Rows]) -> None:
    """One statement, which looks at foreign keys when it ends: tables may name each other in a circle."""
    if not rows:
        return
    session, shapes = site.sessions[database], site.schemas[database].tables
    delete_, tables = SQL("DELETE FROM {} WHERE {}"), ", ".join(table.table for table in rows)
    deletes = [
        delete_.format(identifier(table.table), among(shapes[table.table], found.identity, found.identities()))
        for table, found in rows.items()
    ]
    counts = session.counts(deletes, doing=f"deleting from {tables}")
    if counts != [len(found.rows) for found in rows.values()]:
        proved = sum(len(found.rows) for found in rows.values())
        raise RefusedError(
            f"Deleting from {tables} on {session.where} refused: {sum(counts)} rows went, {proved} were proved."
        )
