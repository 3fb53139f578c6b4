"""A session that needs no server: each query is answered by what it is for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.postgres.session import Composed, Literal, Session
from inventory.catalog import Tenant

Rows = Sequence[tuple[Any, ...]]
# The lock that a statement asks for: of rows, or of tables.
_LOCK = re.compile(r"\bFOR (?:NO KEY |KEY )?(?:UPDATE|SHARE)(?: OF \w+)?(?: SKIP LOCKED)?|(?<=IN )[A-Z ]+(?= MODE)")


@dataclass(eq=False)
class Answering:
    """Answers by `doing`, with rows or a function of the arguments; a query that it does not know has no rows."""

    answers: Mapping[str, Rows | Callable[[Any], Rows]]
    where: str = "shard_1"
    asked: list[tuple[str, Any]] = field(default_factory=list)  # what each was for, and its arguments
    texts: list[tuple[str, str]] = field(default_factory=list)  # what each was for, and its text
    ownership: Any = field(default_factory=lambda: SimpleNamespace(require=lambda doing: None))

    def rows(self, query: object, args: Any = (), *, doing: str = "") -> Rows:
        """Return the rows of a query."""
        self.asked.append((doing, args))
        self.texts.append((doing, repr(query)))
        answer = self.answers.get(doing, ())
        return answer(args) if callable(answer) else answer

    def keys(self, query: object, *, doing: str = "") -> Rows:
        """Return the rows of a query for keys; its arguments are the lists in it."""
        return self.rows(query, tuple(_lists(query)), doing=doing)

    def row(self, query: object, args: Any = (), *, doing: str = "") -> Any:
        """Return the first row of a query; None if there is none."""
        return next(iter(self.rows(query, args, doing=doing)), None)

    def execute(self, query: object, args: Any = (), *, doing: str = "") -> int:
        """Return the number of rows that a statement changed."""
        return len(self.rows(query, args, doing=doing))

    def counts(self, statements: Sequence[object], *, doing: str) -> list[int]:
        """Return the numbers of rows that several statements changed."""
        return [self.execute(statement, doing=doing) for statement in statements]

    @contextmanager
    def rolled_back(self, isolation: str = "") -> Iterator[None]:
        """Run the block in a transaction."""
        yield

    @contextmanager
    def transaction(self, isolation: str = "", *, doing: str = "") -> Iterator[None]:
        """Run the block in a transaction, and commit."""
        yield
        self.commit(doing=doing)

    def commit(self, *, doing: str) -> None:
        """Note what is committed."""
        self.asked.append((f"COMMIT: {doing}", ()))


def _lists(query: object) -> Iterator[list[Any]]:
    """Yield the lists of values in a query."""
    if isinstance(query, Composed):
        for part in query.seq:
            yield from _lists(part)
    elif isinstance(query, Literal) and isinstance(query.wrapped, list):
        yield query.wrapped


def session(answers: Mapping[str, Rows | Callable[[Any], Rows]] | None = None, *, where: str = "shard_1") -> Session:
    """Return a session with these answers."""
    return cast(Session, Answering(answers or {}, where))


def unaccounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the transactions of deletions be accounted for without a server."""
    books = SimpleNamespace(declare_emptied=list, bookkeeping=nullcontext)
    monkeypatch.setattr("archiver.delete.commit.deletion_accounted", lambda *_: nullcontext(books))


SCHOOLS = Tenant(noun="school", table="schools", key="id", title="name", shard="shard")


def master_of(schools: Mapping[int, str]) -> Session:
    """Return a session on a master with these live schools, each on its shard."""

    def rows(args: Any) -> Rows:
        [ids] = args or [schools]
        return [(number, "", shard, None, None) for number, shard in schools.items() if number in ids]

    return session({"reading schools": rows}, where="master")


def asked(session: Session) -> list[str]:
    """Return what the queries of such a session were for."""
    return [doing for doing, _ in cast(Answering, session).asked]


def locks(session: Session) -> dict[str, str]:
    """Return the locks that the statements of such a session asked for, by what they were for, in their order."""
    texts = cast(Answering, session).texts
    return {doing: found[0] for doing, text in texts if (found := _LOCK.search(text))}
