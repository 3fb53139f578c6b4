"""The one place that commits a deletion of the product's rows, whatever they are: a school's, a month's, a feed's.

Its order is the promise: what is locked is compared, what is deleted is counted by the server, what is counted is
recorded, and the archives that hold the rows are looked at again before each COMMIT.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

from archiver.postgres.account import DeletionAccount, deletion_accounted
from archiver.postgres.session import Session
from archiver.store.bucket import Bucket
from archiver.store.standing import StoredArchive, missing_objects

Locked = TypeVar("Locked")  # what was locked
Rows = TypeVar("Rows")  # the rows to delete, and what the bookkeeping says of them
Done = TypeVar("Done")  # the result of a deletion
Accounts = Mapping[Session, DeletionAccount]


class Locking(Protocol[Locked, Rows]):
    """A way to lock, compare and delete rows in open transactions; its locks last until these end."""

    def lock(self) -> Locked:
        """Lock tables or rows in a fixed order, and return what is there. Raises DatabaseError if it may not wait."""

    def unchanged(self, locked: Locked) -> Rows:
        """Compare what was locked with its archive, and return the rows to delete.

        Raises RefusedError if others than these rows would have to be deleted.
        """

    def delete(self, rows: Rows, accounts: Accounts) -> None:
        """Delete these rows, and declare each in the account of its session. Raises RefusedError or DatabaseError."""


@dataclass(frozen=True, kw_only=True)
class Transaction:
    """A transaction in which rows are deleted."""

    session: Session
    doing: str  # the act of its COMMIT, for an error
    written_besides: Mapping[str, Collection[str]] = field(default_factory=dict)  # by table: what triggers may write


@dataclass(frozen=True, kw_only=True)
class Recorded(Generic[Done]):
    """The result of a deletion whose bookkeeping is written, and the archives that hold its rows, if any need to."""

    result: Done
    bucket: Bucket | None = None
    archives: Sequence[StoredArchive] = ()

    def prove_stored(self) -> None:
        """Raise the error of the first archive that went during the deletion, which can take an hour."""
        if self.bucket:
            for error in missing_objects(self.bucket, self.archives).values():
                raise error


def delete_and_commit(
    operation: str,
    locking: Locking[Locked, Rows],
    transactions: Sequence[Transaction],
    record: Callable[[Rows], Recorded[Done]],
) -> Done:
    """Delete rows in these transactions, and commit them in their order; return the result that `record` gave.

    `record` writes the bookkeeping into the transactions. Until the first COMMIT any error leaves everything as it was.
    Raises RefusedError if rows changed, if the server counted other changes than these, if an archive is not in the
    store, or if a pooler may lend a session to others; UnknownError if a COMMIT was not answered.
    """
    with ExitStack() as opened:
        for transaction in transactions:
            transaction.session.ownership.require(transaction.doing)
            opened.enter_context(transaction.session.rolled_back())
        with _accounted(operation, transactions) as accounts:
            rows = locking.unchanged(locking.lock())
            locking.delete(rows, accounts)
        recorded = record(rows)
        for transaction in transactions:
            recorded.prove_stored()
            transaction.session.commit(doing=transaction.doing)
    return recorded.result


@contextmanager
def _accounted(operation: str, transactions: Sequence[Transaction]) -> Iterator[Accounts]:
    """Yield the account of each transaction by session; prove all at the end, before anything is committed."""
    with ExitStack() as accounts:
        yield {
            each.session: accounts.enter_context(deletion_accounted(each.session, operation, each.written_besides))
            for each in transactions
        }
