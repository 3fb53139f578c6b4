"""Delete sets of rows in the caller's transaction: used where few rows go, or tables can't be truncated."""

from __future__ import annotations

from collections.abc import Mapping

from archiver.delete.truncate_reload import DeleteCondition
from archiver.postgres.account import DeletionAccount
from archiver.postgres.schema import Schema, identifier, load_order
from archiver.postgres.session import SQL
from errors import RefusedError


def delete_set(
    account: DeletionAccount, schema: Schema, to_delete: Mapping[str, int], condition: DeleteCondition
) -> None:
    """Delete the rows that fulfil the condition, referencing rows first; `to_delete` is the expected number by table.

    Declares them in the account. Raises RefusedError if another number of rows is deleted.
    """
    session, delete = account.session, SQL("DELETE FROM {} c WHERE {}")
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
            for table in tables:
                account.declare_deleted(table, to_delete[table])
    session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")
