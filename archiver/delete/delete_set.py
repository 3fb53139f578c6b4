"""Delete sets of rows in the caller's transaction: used where few rows go, or tables can't be truncated."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from archiver.delete.truncate_reload import DeleteCondition
from archiver.postgres.schema import Schema, identifier, load_order
from archiver.postgres.session import SQL, Session
from errors import RefusedError


def delete_set(session: Session, schema: Schema, to_delete: Mapping[str, int], condition: DeleteCondition) -> None:
    """Delete the rows that fulfil the condition, referencing rows first; `to_delete` is the expected number by table.

    Raises RefusedError if another number of rows is deleted, or if rows that stay are changed.
    """
    delete = SQL("DELETE FROM {} c WHERE {}")
    for group in reversed(load_order(schema)):
        tables = [table for table in group if table in to_delete]
        if tables:
            names = ", ".join(tables)
            statements = [delete.format(identifier(table), condition(table, "c")) for table in tables]
            counts = session.counts(statements, doing=f"deleting from {names}")
            if counts != [to_delete[table] for table in tables]:
                proved = sum(to_delete[table] for table in tables)
                raise RefusedError(
                    f"Deleting from {names} on {session.where} refused: "
                    f"{sum(counts)} rows would be deleted, {proved} were verified."
                )
    session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")
    _prove_staying(session, schema.tables)


def _prove_staying(session: Session, tables: Collection[str]) -> None:
    """Raise RefusedError if a foreign key or a trigger wrote to a row that stays."""
    query = SQL("SELECT count(*) FROM {} WHERE xmin = pg_current_xact_id()::xid")
    touched = {
        table: session.row(query.format(identifier(table)), doing=f"checking the rows of {table} that stay")[0]
        for table in tables
    }
    if any(touched.values()):
        tables_and_rows = ", ".join(f"{table} ({rows})" for table, rows in touched.items() if rows)
        raise RefusedError(
            f"Deleting on {session.where} refused: rows that stay would be changed too: {tables_and_rows}.",
            hint="Cause: a foreign key with ON DELETE SET NULL, or a trigger.",
        )
