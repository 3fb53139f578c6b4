"""Tables that are emptied once a year and are in no archive: TRUNCATE, all of a database at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archiver.postgres.databases import Databases
from archiver.postgres.schema import NAMESPACE, identifier, quoted
from archiver.postgres.session import SQL, Literal, Session
from archiver.vacuum.rewrite import PATIENCE
from errors import Problems


@dataclass(frozen=True, kw_only=True)
class Feed:
    """A table to be emptied, as it is now."""

    database: str  # by the inventory's name
    table: str
    rows: int
    bytes: int  # with its indexes


def look(databases: Databases) -> list[Feed]:
    """Every feed of the catalog, its rows counted; Problems where one is not there."""
    wanted = [
        (name, table)
        for name, kind in databases.names_and_kinds()
        for table in databases.model.catalog.feeds.get(kind, ())
    ]
    missing = [
        f"{name}: there is no table {table}" for name, table in wanted if not _there(databases.session(name), table)
    ]
    if missing:
        raise Problems("The catalog names feeds that are not there:", missing)
    return [_feed(databases.session(name), name, table) for name, table in wanted]


def truncate(session: Session, feeds: Sequence[Feed]) -> None:
    """Empties the feeds of one database, or none; their sequences go on, so that no id is given out twice.

    Raises DatabaseError where another table's foreign key names one of them.
    """
    tables = SQL(", ").join(identifier(feed.table) for feed in feeds)
    with session.transaction(doing="emptying the feeds"):
        session.execute(SQL("SET LOCAL lock_timeout TO {}").format(Literal(PATIENCE)))
        session.execute(SQL("TRUNCATE {} CONTINUE IDENTITY RESTRICT").format(tables), doing="emptying the feeds")


def _there(session: Session, table: str) -> bool:
    query = SQL("SELECT to_regclass({}) IS NOT NULL").format(Literal(f"{NAMESPACE}.{quoted(table)}"))
    return bool(session.row(query, doing=f"looking for {table}")[0])


def _feed(session: Session, database: str, table: str) -> Feed:
    query = SQL("SELECT count(*), pg_total_relation_size({}::regclass) FROM {}").format(
        Literal(f"{NAMESPACE}.{quoted(table)}"), identifier(table)
    )
    rows, size = session.row(query, doing=f"counting {table}")
    return Feed(database=database, table=table, rows=rows, bytes=size)
