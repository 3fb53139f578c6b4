"""The account of a transaction: what the server counted in every table must be what the caller declared.

A foreign key's own action, a rule, a trigger or an inheriting table can change rows that no statement names. PostgreSQL
counts each row that a transaction inserts, updates and deletes, whoever causes it: the counters of all user tables are
read before the first statement and after the last, and any difference that was not declared refuses the transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from archiver.catalog.model import Model
from archiver.postgres.counters import (
    NONE,
    Changes,
    Counts,
    Relation,
    differences,
    emptied,
    read_counters,
    relation_of,
)
from archiver.postgres.schema import NAMESPACE
from archiver.postgres.session import DatabaseError, Session
from errors import RefusedError

_FORBIDDEN = "42501"  # SQLSTATE: a function or view may not be used


@dataclass(frozen=True)
class Account:
    """The changes that one transaction declared; valid until the end of its block."""

    session: Session
    operation: str
    _before: Counts
    _written_besides: Mapping[str, Collection[str]]  # by table: what its triggers and rules write
    _declared: dict[Relation, Changes] = field(default_factory=dict)
    _emptied: set[Relation] = field(default_factory=set)
    _own: dict[Relation, Changes] = field(default_factory=dict)  # counted while bookkeeping was written

    def declare(self, table: str, changes: Changes) -> None:
        """Declare changes of rows of one of the product's tables, in addition to those declared before."""
        relation = Relation(NAMESPACE, table)
        self._declared[relation] = self._declared.get(relation, NONE) + changes

    @contextmanager
    def bookkeeping(self) -> Iterator[None]:
        """Take what the block writes to the archiver's own tables as declared: it holds no statement on the product."""
        before = read_counters(self.session, only=OWN)
        yield
        for relation, changes in differences(before, read_counters(self.session, only=OWN)).items():
            self._own[relation] = self._own.get(relation, NONE) + changes

    def prove(self) -> None:
        """Raise RefusedError unless the server counted exactly what was declared; foreign keys are checked first."""
        self.session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")
        now = read_counters(self.session)
        counted = differences(self._before, now)
        expected = {
            relation: self._declared.get(relation, NONE) + self._own.get(relation, NONE)
            for relation in {**self._declared, **self._own}
        }
        wrong = {
            relation: f"{counted.get(relation, NONE)}; expected: {expected.get(relation, NONE)}"
            for relation in sorted({**counted, **expected})
            if not self._accepts(relation, counted.get(relation, NONE), expected.get(relation, NONE))
        }
        undeclared = emptied(self.session, self._before, now) - self._emptied
        wrong |= dict.fromkeys(sorted(undeclared), "truncated, rewritten or dropped; expected: neither")
        if wrong:
            raise self._refusal(wrong, {*wrong, *self._declared, *self._emptied})

    def _accepts(self, relation: Relation, counted: Changes, expected: Changes) -> bool:
        """True if nothing else was changed; a trigger or rule that the catalog lists may insert and update."""
        fired = {table for (_, table), changes in self._declared.items() if changes != NONE}
        besides = {relation_of(name) for table in fired for name in self._written_besides.get(table, ())}
        extra = counted - expected
        return extra == NONE or (
            relation in besides and extra.deleted == 0 and extra.inserted >= 0 and extra.updated >= 0
        )

    def _refusal(self, wrong: Mapping[Relation, str], touched: Collection[Relation]) -> RefusedError:
        """Return the error that names the tables, and what in the catalogue may have touched them."""
        tables = ", ".join(f"{relation} ({changes})" for relation, changes in wrong.items())
        names = [
            [getattr(relation, part) for relation in among]
            for among in (wrong, touched)
            for part in ("schema", "table")
        ]
        causes = [row[0] for row in self.session.rows(_CAUSES, names, doing="looking for the cause")]
        named = "; ".join(causes) or "nothing that the catalogue names"
        return RefusedError(
            f"{self.operation} on {self.session.where} refused: "
            f"rows would be changed other than those verified: {tables}.",
            hint=f"Possible cause: {named}. A row that a trigger wrote and took back counts too.",
        )


class DeletionAccount(Account):
    """The changes of a transaction that may delete rows: only `archiver/delete/commit.py` opens one."""

    def declare_deleted(self, table: str, rows: int) -> None:
        """Declare rows that are deleted from one of the product's tables."""
        self.declare(table, Changes(deleted=rows))

    def declare_emptied(self, tables: Iterable[str]) -> None:
        """Declare tables of the product that the transaction truncates or drops."""
        self._emptied.update(Relation(NAMESPACE, table) for table in tables)


OWN = "archiver"  # the schema of the archiver's own tables


@contextmanager
def accounted(
    session: Session, operation: str, written_besides: Mapping[str, Collection[str]] | None = None
) -> Iterator[Account]:
    """Yield the account of the open transaction, and prove it at the end of the block, before any COMMIT.

    Raises RefusedError at the beginning if the server does not count, and at the end if it counted other changes than
    those declared and those that the catalog accepts of triggers and rules. Own bookkeeping belongs behind the block,
    or in `bookkeeping`.
    """
    account = Account(session, operation, _begun(session, operation), written_besides or {})
    yield account
    account.prove()


@contextmanager
def all_accounted(sessions: Mapping[str, Session], operation: str, model: Model) -> Iterator[Mapping[str, Account]]:
    """Yield the accounts of transactions that are open in several databases, by database; prove all at the end."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(accounted(session, operation, model.written_besides(name)))
            for name, session in sessions.items()
        }


@contextmanager
def deletion_accounted(
    session: Session, operation: str, written_besides: Mapping[str, Collection[str]]
) -> Iterator[DeletionAccount]:
    """Yield the account of an open transaction that deletes rows; it is proved as by `accounted`."""
    account = DeletionAccount(session, operation, _begun(session, operation), written_besides)
    yield account
    account.prove()


def refuse_uncounted(session: Session, operation: str) -> None:
    """Raise RefusedError if the server does not count changes of rows, or does not show its counters."""
    _begun(session, operation)


def _begun(session: Session, operation: str) -> Counts:
    """Return the counters at the beginning of a transaction."""
    refused = f"{operation} on {session.where} refused: what it changes could not be counted"
    counts, role = session.row(_COUNTING, doing="asking what the server counts")
    if counts != "on":
        raise RefusedError(
            f"{refused}: track_counts is off.", hint="ALTER SYSTEM SET track_counts TO on; SELECT pg_reload_conf();"
        )
    try:
        return read_counters(session)
    except DatabaseError as error:
        if error.code != _FORBIDDEN:
            raise
        raise RefusedError(
            f"{refused}: this role may not read the server's counters.",
            hint="As a superuser, run: GRANT EXECUTE ON FUNCTION pg_stat_get_xact_tuples_inserted(oid), "
            f"pg_stat_get_xact_tuples_updated(oid), pg_stat_get_xact_tuples_deleted(oid) TO {role};",
        ) from error


_COUNTING = "SELECT current_setting('track_counts'), quote_ident(current_user)"
_CAUSES = """
WITH every AS (
    SELECT c.oid, format('%%I.%%I', s.nspname, c.relname) AS name, n.nspname, r.relname
      FROM pg_class c
      JOIN pg_namespace s ON s.oid = c.relnamespace
      JOIN pg_class r ON r.oid = CASE WHEN c.relispartition THEN pg_partition_root(c.oid) ELSE c.oid END
      JOIN pg_namespace n ON n.oid = r.relnamespace
     WHERE c.relkind IN ('r', 'p', 'm')
), wrong AS (
    SELECT e.* FROM every e JOIN unnest(%s::text[], %s::text[]) w (nspname, relname) USING (nspname, relname)
), touched AS (
    SELECT e.* FROM every e JOIN unnest(%s::text[], %s::text[]) w (nspname, relname) USING (nspname, relname)
)
SELECT format('the foreign key %%I of %%s', k.conname, w.name)
  FROM pg_constraint k JOIN wrong w ON w.oid = k.conrelid
 WHERE k.contype = 'f' AND k.conparentid = 0
   AND (k.confdeltype IN ('c', 'n', 'd') OR k.confupdtype IN ('c', 'n', 'd'))
 UNION
SELECT format('%%s inherits from %%s', w.name, e.name)
  FROM pg_inherits i JOIN wrong w ON w.oid = i.inhrelid JOIN every e ON e.oid = i.inhparent
  JOIN pg_class c ON c.oid = i.inhrelid AND NOT c.relispartition
 UNION
SELECT format('the rule %%I of %%s', r.rulename, t.name)
  FROM pg_rewrite r JOIN touched t ON t.oid = r.ev_class WHERE r.rulename <> '_RETURN'
 UNION
SELECT format('the trigger %%I of %%s', g.tgname, t.name)
  FROM pg_trigger g JOIN touched t ON t.oid = g.tgrelid WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A')
 UNION
SELECT format('the event trigger %%I', e.evtname) FROM pg_event_trigger e WHERE e.evtenabled IN ('O', 'A')
 ORDER BY 1
"""
