"""Delete rows from one database by identity, in an order that its foreign keys accept."""

from __future__ import annotations

from collections.abc import Mapping

from archiver.catalog.model import Model, TableName
from archiver.postgres.account import DeletionAccount
from archiver.postgres.databases import Placement
from archiver.postgres.schema import identifier, load_order
from archiver.postgres.selection import SelectedRows, among
from archiver.postgres.session import SQL
from archiver.postgres.triggers import product_names, triggers_disabled
from errors import RefusedError


def delete(
    placement: Placement,
    model: Model,
    database: str,
    to_delete: Mapping[TableName, SelectedRows],
    account: DeletionAccount,
) -> None:
    """Delete these rows, referencing rows before the rows they refer to, and declare them in the account.

    Raises RefusedError or DatabaseError before any commit if something prevents it.
    """
    session = placement.sessions[database]
    with triggers_disabled(session, model, database), product_names(session):
        _delete(placement, database, to_delete, account)


def _delete(
    placement: Placement, database: str, to_delete: Mapping[TableName, SelectedRows], account: DeletionAccount
) -> None:
    session, schema = placement.sessions[database], placement.schemas[database]
    for group in reversed(load_order(schema)):
        rows = {TableName(database, name): to_delete[TableName(database, name)] for name in group}
        _delete_together(placement, database, {table: of_table for table, of_table in rows.items() if of_table.rows})
        for table, of_table in rows.items():
            account.declare_deleted(table.table, len(of_table.rows))
    session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")


def _delete_together(placement: Placement, database: str, rows: Mapping[TableName, SelectedRows]) -> None:
    """Delete from several tables in one statement: foreign keys, even in a cycle, are checked when it ends."""
    if not rows:
        return
    session, shapes = placement.sessions[database], placement.schemas[database].tables
    delete_, tables = SQL("DELETE FROM {} WHERE {}"), ", ".join(table.table for table in rows)
    deletes = [
        delete_.format(identifier(table.table), among(shapes[table.table], selected.identity, selected.identities()))
        for table, selected in rows.items()
    ]
    counts = session.counts(deletes, doing=f"deleting from {tables}")
    if counts != [len(selected.rows) for selected in rows.values()]:
        proved = sum(len(selected.rows) for selected in rows.values())
        raise RefusedError(
            f"Deleting from {tables} on {session.where} refused: "
            f"{sum(counts)} rows would be deleted, {proved} were verified."
        )
