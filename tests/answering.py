"""A session that needs no server: each query is answered by what it is for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from archiver.postgres.session import Session

Rows = Sequence[tuple[Any, ...]]


@dataclass
class Answering:
    """Answers by `doing`; a query that it does not know has no rows."""

    answers: Mapping[str, Rows]
    where: str = "shard_1"
    asked: list[tuple[str, Any]] = field(default_factory=list)  # what each was for, and its arguments

    def rows(self, query: object, args: Any = (), *, doing: str = "") -> Rows:
        """Return the rows of a query."""
        self.asked.append((doing, args))
        return self.answers.get(doing, ())

    def row(self, query: object, args: Any = (), *, doing: str = "") -> Any:
        """Return the first row of a query; None if there is none."""
        return next(iter(self.rows(query, args, doing=doing)), None)

    def execute(self, query: object, args: Any = (), *, doing: str = "") -> int:
        """Return the number of rows that a statement changed."""
        return len(self.rows(query, args, doing=doing))


def session(answers: Mapping[str, Rows] | None = None, *, where: str = "shard_1") -> Session:
    """Return a session with these answers."""
    return cast(Session, Answering(answers or {}, where))


def asked(session: Session) -> list[str]:
    """Return what the queries of such a session were for."""
    return [doing for doing, _ in cast(Answering, session).asked]
