"""Rows out of one database by identity, in an order that its foreign keys accept."""

from __future__ import annotations

from collections.abc import Mapping

from archiver.catalog.model import Model, TableName
from archiver.postgres.databases import Placement
from archiver.postgres.schema import identifier, load_order
from archiver.postgres.selection import SelectedRows, Selection, among
from archiver.postgres.session import SQL
from archiver.postgres.triggers import triggers_disabled
from errors import RefusedError


def delete(placement: Placement, model: Model, database: str, gone: Mapping[TableName, SelectedRows]) -> None:
    """Deletes what names another row before what it names; whatever forbids it says so before a commit."""
    with triggers_disabled(placement.sessions[database], model, database):
        _delete(placement, database, gone)


def _delete(placement: Placement, database: str, gone: Mapping[TableName, SelectedRows]) -> None:
    session, schema = placement.sessions[database], placement.schemas[database]
    for group in reversed(load_order(schema)):
        rows = {TableName(database, name): gone[TableName(database, name)] for name in group}
        _delete_together(placement, database, {table: found for table, found in rows.items() if found.rows})
    session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")


def prove_staying(
    placement: Placement, database: str, selection: Selection, gone: Mapping[TableName, SelectedRows]
) -> None:
    """After a deletion: RefusedError where a foreign key or a trigger took a row that stays with it, or changed it."""
    session, touched = placement.sessions[database], []
    for table, found in selection.by_table.items():
        going = set(gone[table].rows)
        staying = [key for row, key in zip(found.rows, found.identities(), strict=True) if row not in going]
        if table.database == database and staying:
            shape = placement.schemas[database].tables[table.table]
            # What this transaction wrote has its number; locking a row leaves the number as it was.
            query = SQL("SELECT count(*) FROM {} WHERE {} AND xmin <> pg_current_xact_id()::xid").format(
                identifier(table.table), among(shape, found.identity, staying)
            )
            untouched = session.row(query, doing=f"looking at the rows of {table} that stay")[0]
            if untouched != len(staying):
                touched.append(f"{table} ({len(staying) - untouched})")
    if touched:
        raise RefusedError(
            f"Deleting on {session.where} refused: rows that stay would go or change with those that are deleted: "
            f"{', '.join(touched)}.",
            hint="A foreign key with ON DELETE CASCADE or SET NULL, or a trigger, does it: another tenant needs them.",
        )


def _delete_together(placement: Placement, database: str, rows: Mapping[TableName, SelectedRows]) -> None:
    """One statement, which looks at foreign keys when it ends: tables may name each other in a circle."""
    if not rows:
        return
    session, shapes = placement.sessions[database], placement.schemas[database].tables
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
