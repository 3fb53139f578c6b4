"""Feeds: tables in no archive that are emptied once a year, by one TRUNCATE per database."""

from __future__ import annotations

from dataclasses import dataclass

from archiver.postgres.databases import Databases
from archiver.postgres.schema import NAMESPACE, identifier, quoted
from archiver.postgres.session import SQL, Literal, Session
from errors import Problems


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A table to empty, with its current size."""

    database: str  # its name in the inventory
    table: str
    rows: int
    bytes: int  # with its indexes


def look(databases: Databases) -> list[Feed]:
    """Return every feed of the catalog with its row count. Raises Problems if one does not exist."""
    names = [
        (name, table)
        for name, kind in databases.names_and_kinds()
        for table in databases.model.catalog.feeds.get(kind, ())
    ]
    missing = [
        f"{name}: there is no table {table}" for name, table in names if not _exists(databases.session(name), table)
    ]
    if missing:
        raise Problems("The catalog names feeds that do not exist:", missing)
    return [_feed(databases.session(name), name, table) for name, table in names]


def _exists(session: Session, table: str) -> bool:
    query = SQL("SELECT to_regclass({}) IS NOT NULL").format(Literal(f"{NAMESPACE}.{quoted(table)}"))
    return bool(session.row(query, doing=f"looking for {table}")[0])


def _feed(session: Session, database: str, table: str) -> Feed:
    query = SQL("SELECT count(*), pg_total_relation_size({}::regclass) FROM {}").format(
        Literal(f"{NAMESPACE}.{quoted(table)}"), identifier(table)
    )
    rows, size = session.row(query, doing=f"counting {table}")
    return Feed(database=database, table=table, rows=rows, bytes=size)
