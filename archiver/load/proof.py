"""The proof of a load, before its COMMIT: each row that was sent is in its table as it was sent, in every column.

A trigger may change or drop a row as it comes, or when another one does. So rows are compared where they lie, after the
last statement: by key, and rows without a key as a multiset. Who wrote a row is not asked: a trigger may write in a
subtransaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from archiver.catalog.model import Model, TableName
from archiver.completeness.recheck import lock_carried, unknown
from archiver.load.sequences import too_low_for_rows
from archiver.load.staged import Staged
from archiver.load.staging import differing, missing
from archiver.postgres.account import Account
from archiver.postgres.session import Session
from archiver.postgres.triggers import product_names, triggers_disabled
from errors import RefusedError
from formatting import first_few


@dataclass(frozen=True, kw_only=True)
class ExpectedRows:
    """The rows that one table must hold at the end."""

    staged: Staged  # what is sent, without the columns that triggers may set
    alike: int  # of a table without a key: how many live rows equal one that is sent; else 0
    staying: frozenset[str] = frozenset()  # keys of live rows that differ and stay


@dataclass(frozen=True)
class Proof:
    """The rows that one transaction sends to one database."""

    account: Account
    model: Model
    _expected: list[ExpectedRows] = field(default_factory=list)

    @property
    def session(self) -> Session:
        """The session of the transaction."""
        return self.account.session

    @property
    def tables(self) -> int:
        """The number of tables sent so far."""
        return len(self._expected)

    def before(self, staged: Staged) -> ExpectedRows:
        """Return what a table must hold if nothing of what is staged is inserted."""
        compared = staged.without(self.model.changed_by_triggers(staged.table))
        return ExpectedRows(staged=compared, alike=self._alike(compared))

    def expect(self, before: ExpectedRows, inserted: int, staying: Collection[str] = ()) -> None:
        """Expect as many more rows in a table; the live rows with the keys `staying` are left out."""
        more = 0 if before.staged.shape.primary_key else inserted
        self._expected.append(replace(before, alike=before.alike + more, staying=frozenset(staying)))

    def prove(self) -> None:
        """Raise RefusedError unless every row sent is live as it was sent, and no sequence gives out its id again.

        Foreign keys are checked first.
        """
        with product_names(self.session):
            self.session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")
        for expected in self._expected:
            table, absent = expected.staged.table, missing(self.session, expected.staged)
            changed = {row.key for row in differing(self.session, expected.staged)} - expected.staying
            more = self._alike(expected.staged) - expected.alike
            if changed:
                raise self._refusal(table, f"{len(changed)} rows are not as they were sent", self._columns(expected))
            if absent or more:
                raise self._refusal(table, f"{absent} rows are missing, {max(more, 0)} came twice", ())
        for refusal in too_low_for_rows(self.session, [expected.staged for expected in self._expected]):
            raise refusal

    def _alike(self, staged: Staged) -> int:
        """Return how many live rows equal a staged one, of a table without a key; else 0."""
        if staged.shape.primary_key:
            return 0
        return int(self.session.row(staged.alike, doing=f"comparing {staged.table}")[0])

    def _columns(self, expected: ExpectedRows) -> tuple[str, ...]:
        """Return the columns in which live rows differ from what was sent."""
        counts = self.session.row(expected.staged.differing_columns, doing=f"comparing {expected.staged.table}")
        names = (column.name for column in expected.staged.shape.copied)
        return tuple(name for name, count in zip(names, counts, strict=True) if count)

    def _refusal(self, table: TableName, what: str, columns: Sequence[str]) -> RefusedError:
        entry = self.model.catalog_entry(table)
        trigger = next(iter(entry.triggers), "<trigger>") if entry else "<trigger>"
        allowed = f"changes: {{{trigger}: [{', '.join(columns)}]}}, or " if columns else ""
        return RefusedError(
            f"Loading {table} refused: {what}{f', in {first_few(columns)}' if columns else ''}.",
            hint="A trigger or rule changes rows as they come. "
            f"Add to databases/{table.database}/{table.table}: {allowed}quiet: {{{trigger}: <why it must not fire>}}.",
        )


@contextmanager
def proven(account: Account, model: Model, database: str) -> Iterator[Proof]:
    """Yield the proof of the loads in an account's transaction on one database; prove it at the end of the block.

    The triggers that the catalog calls quiet are disabled for the block. Raises RefusedError if others would act that
    the catalog does not know, or rows are not live as they were sent.
    """
    session = account.session
    lock_carried(session, model, database)  # until the transaction ends no trigger or rule can be added
    if acts := unknown(session, model, database):
        hint = "inv archive.check-catalog shows all that the catalog does not know."
        raise RefusedError(f"Loading rows on {session.where} refused: {'; '.join(acts)}.", hint=hint)
    with triggers_disabled(session, model, database):
        proof = Proof(account, model)
        yield proof
        proof.prove()
