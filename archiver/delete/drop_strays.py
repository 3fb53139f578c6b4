"""Drop a stray table that nothing uses, looked at again under its lock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from archiver.delete.commit import Accounts, Recorded, Transaction, delete_and_commit
from archiver.postgres.schema import identifier
from archiver.postgres.session import SQL, Literal, Session
from archiver.vacuum.rewrite import PATIENCE
from archiver.vacuum.strays import Stray, read
from errors import RefusedError


def drop(session: Session, stray: Stray, idle: timedelta) -> None:
    """Drop a table and the sequences that number it, after locking it and checking its use again.

    Drops nothing else. Raises RefusedError if the table is in use by now.
    """
    transaction = Transaction(session=session, doing=f"dropping {stray.table}")
    delete_and_commit(
        f"Dropping {stray.table}", _StrayLock(session, stray, idle), [transaction], lambda now: Recorded(result=None)
    )


@dataclass(frozen=True)
class _StrayLock:
    """A stray table, locked as a whole: it is in no archive, and is compared with what was looked at before."""

    session: Session
    stray: Stray
    idle: timedelta

    def lock(self) -> Stray:
        table = self.stray.table
        self.session.execute(SQL("SET LOCAL lock_timeout TO {}").format(Literal(PATIENCE)))
        query = SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(identifier(table))
        self.session.execute(query, doing=f"locking {table}")
        return read(self.session, table)

    def unchanged(self, now: Stray) -> Stray:
        if reasons := [*now.refused((), self.idle), *_came_or_went(self.stray, now)]:
            raise RefusedError(f"{now.table} is in use by now: {'; '.join(reasons)}.")
        return now

    def delete(self, now: Stray, accounts: Accounts) -> None:
        accounts[self.session].declare_emptied([now.table])
        query = SQL("DROP TABLE {} RESTRICT").format(identifier(now.table))
        self.session.execute(query, doing=f"dropping {now.table}")
        for sequence in now.sequences:
            query = SQL("DROP SEQUENCE {} RESTRICT").format(identifier(sequence))
            self.session.execute(query, doing=f"dropping the sequence {sequence}")


def _came_or_went(before: Stray, now: Stray) -> Iterator[str]:
    """Yield that rows came or went meanwhile: a session reports what it wrote seconds later, or when it ends."""
    if now.rows != before.rows:
        yield f"it has {now.rows:,} rows, and had {before.rows:,} when it was looked at"
