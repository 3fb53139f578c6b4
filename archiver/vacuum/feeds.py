"""Feeds: tables in no archive that are emptied once a year, by one TRUNCATE per database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archiver.postgres.account import accounted
from archiver.postgres.below import below_any
from archiver.postgres.databases import Databases
from archiver.postgres.schema import NAMESPACE, identifier, quoted
from archiver.postgres.session import SQL, Literal, Session
from archiver.vacuum.rewrite import PATIENCE
from errors import Problems, RefusedError


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


def truncate(session: Session, feeds: Sequence[Feed], *, truncate_published: bool = False) -> None:
    """Empty all feeds of one database, or none of them. Sequences continue, so that no id is issued twice.

    Raises DatabaseError if another table's foreign key references one of them, RefusedError if others would be
    emptied or changed too: what lies below one of them, or, unless `truncate_published`, a subscriber's tables.
    """
    tables = SQL(", ").join(identifier(feed.table) for feed in feeds)
    with session.transaction(doing="emptying the feeds"), accounted(session, "Emptying the feeds") as account:
        account.declare_emptied(feed.table for feed in feeds)
        session.execute(SQL("SET LOCAL lock_timeout TO {}").format(Literal(PATIENCE)))
        session.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(tables), doing="locking the feeds")
        names = [feed.table for feed in feeds]
        if below := below_any(session, names):
            raise RefusedError(f"Emptying the feeds on {session.where} refused: {'; '.join(below)}.")
        published = session.rows(_PUBLISHED, (NAMESPACE, names), doing="reading the publications")
        if published and not truncate_published:
            raise RefusedError(
                f"Emptying the feeds on {session.where} refused: subscribers would lose all their rows too: "
                f"{'; '.join(f'{table} is in the publication {publication}' for table, publication in published)}.",
                hint="Set `truncate_published: true` in the inventory if they may; or run: "
                + " ".join(
                    f"ALTER PUBLICATION {publication} SET (publish = 'insert, update, delete');"
                    for publication in sorted({publication for _, publication in published})
                ),
            )
        session.execute(SQL("TRUNCATE {} CONTINUE IDENTITY RESTRICT").format(tables), doing="emptying the feeds")


_PUBLISHED = """
SELECT t.tablename, quote_ident(p.pubname) FROM pg_publication_tables t JOIN pg_publication p USING (pubname)
 WHERE t.schemaname = %s AND t.tablename = ANY(%s) AND p.pubtruncate
 ORDER BY 1, 2
"""


def _exists(session: Session, table: str) -> bool:
    query = SQL("SELECT to_regclass({}) IS NOT NULL").format(Literal(f"{NAMESPACE}.{quoted(table)}"))
    return bool(session.row(query, doing=f"looking for {table}")[0])


def _feed(session: Session, database: str, table: str) -> Feed:
    query = SQL("SELECT count(*), pg_total_relation_size({}::regclass) FROM {}").format(
        Literal(f"{NAMESPACE}.{quoted(table)}"), identifier(table)
    )
    rows, size = session.row(query, doing=f"counting {table}")
    return Feed(database=database, table=table, rows=rows, bytes=size)
