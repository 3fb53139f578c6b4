"""Rows that go, deleted set by set in the caller's transaction: where little goes, or tables can't be emptied."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from archiver.delete.truncate_reload import Goes
from archiver.postgres.schema import Schema, identifier, load_order
from archiver.postgres.session import SQL, Session
from errors import RefusedError


def delete_set(session: Session, schema: Schema, going: Mapping[str, int], goes: Goes) -> None:
    """Deletes what names another row before what it names; RefusedError unless just as many rows go as were proved."""
    delete = SQL("DELETE FROM {} c WHERE {}")
    for group in reversed(load_order(schema)):
        tables = [table for table in group if table in going]
        if tables:
            named = ", ".join(tables)
            statements = [delete.format(identifier(table), goes(table, "c")) for table in tables]
            counts = session.counts(statements, doing=f"deleting from {named}")
            if counts != [going[table] for table in tables]:
                proved = sum(going[table] for table in tables)
                raise RefusedError(
                    f"Deleting from {named} on {session.where} refused: {sum(counts)} rows went, {proved} were proved."
                )
    session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")
    _prove_staying(session, schema.tables)


def _prove_staying(session: Session, tables: Collection[str]) -> None:
    """RefusedError where a foreign key or a trigger wrote to a row that stays."""
    query = SQL("SELECT count(*) FROM {} WHERE xmin = pg_current_xact_id()::xid")
    touched = {
        table: session.row(query.format(identifier(table)), doing=f"looking at the rows of {table} that stay")[0]
        for table in tables
    }
    if any(touched.values()):
        words = ", ".join(f"{table} ({rows})" for table, rows in touched.items() if rows)
        raise RefusedError(
            f"Deleting on {session.where} refused: rows that stay would change with those that are deleted: {words}.",
            hint="A foreign key with ON DELETE SET NULL, or a trigger, does it.",
        )
