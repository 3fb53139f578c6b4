"""Empty a database's feeds by one TRUNCATE, under locks that keep other sessions out of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archiver.delete.commit import Accounts, Recorded, Transaction, delete_and_commit
from archiver.postgres.below import below_any
from archiver.postgres.schema import NAMESPACE, identifier
from archiver.postgres.session import SQL, Composable, Literal, Session
from archiver.vacuum.feeds import Feed
from archiver.vacuum.rewrite import PATIENCE
from errors import RefusedError


def empty_feeds(session: Session, feeds: Sequence[Feed], *, truncate_published: bool = False) -> None:
    """Empty all feeds of one database, or none of them. Sequences continue, so that no id is issued twice.

    Raises DatabaseError if another table's foreign key references one of them, RefusedError if others would be
    emptied or changed too: what lies below one of them, or, unless `truncate_published`, a subscriber's tables.
    """
    locks = _FeedLocks(session, [feed.table for feed in feeds], truncate_published)
    transaction = Transaction(session=session, doing="emptying the feeds")
    delete_and_commit("Emptying the feeds", locks, [transaction], lambda tables: Recorded(result=None))


@dataclass(frozen=True)
class _FeedLocks:
    """The feeds of one database, locked as tables: their rows are in no archive, and need no comparison."""

    session: Session
    tables: Sequence[str]
    truncate_published: bool

    @property
    def _names(self) -> Composable:
        return SQL(", ").join(map(identifier, self.tables))

    def lock(self) -> Sequence[str]:
        self.session.execute(SQL("SET LOCAL lock_timeout TO {}").format(Literal(PATIENCE)))
        self.session.execute(
            SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(self._names), doing="locking the feeds"
        )
        return self.tables

    def unchanged(self, tables: Sequence[str]) -> Sequence[str]:
        if below := below_any(self.session, tables):
            raise RefusedError(f"Emptying the feeds on {self.session.where} refused: {'; '.join(below)}.")
        published = self.session.rows(_PUBLISHED, (NAMESPACE, list(tables)), doing="reading the publications")
        if published and not self.truncate_published:
            raise self._refusal(published)
        return tables

    def delete(self, tables: Sequence[str], accounts: Accounts) -> None:
        accounts[self.session].declare_emptied(tables)
        query = SQL("TRUNCATE {} CONTINUE IDENTITY RESTRICT").format(self._names)
        self.session.execute(query, doing="emptying the feeds")

    def _refusal(self, published: Sequence[tuple[str, str]]) -> RefusedError:
        named = "; ".join(f"{table} is in the publication {publication}" for table, publication in published)
        publications = sorted({publication for _, publication in published})
        return RefusedError(
            f"Emptying the feeds on {self.session.where} refused: subscribers would lose all their rows too: {named}.",
            hint="Set `truncate_published: true` in the inventory if they may; or run: "
            + " ".join(f"ALTER PUBLICATION {name} SET (publish = 'insert, update, delete');" for name in publications),
        )


_PUBLISHED = """
SELECT t.tablename, quote_ident(p.pubname) FROM pg_publication_tables t JOIN pg_publication p USING (pubname)
 WHERE t.schemaname = %s AND t.tablename = ANY(%s) AND p.pubtruncate
 ORDER BY 1, 2
"""
