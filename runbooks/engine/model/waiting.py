"""The question that a night waits with: which person it waits for, for what, since when. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from runbooks.engine.model.journal import Event, Journal, Kind

BY_HAND = "to do it by hand"


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question without an answer yet."""

    step: str  # its key
    host: str  # empty if it concerns the whole step
    who: str  # is waited for, e.g. `chris@laptop`
    what: str  # for, e.g. `to do it by hand`
    since: datetime


def asked(journal: Journal, *, step: str, host: str = "", who: str, what: str) -> None:
    """Journal that a person is waited for."""
    journal.append(Kind.QUESTION, step=step, host=host, who=who, what=what)


def waiting(events: Sequence[Event]) -> Question | None:
    """Return the question that waits; None if whatever happened last is not a question.

    While a person is asked, a run does nothing else, so that any later event means that the wait is over.
    """
    if not events or events[-1].kind is not Kind.QUESTION:
        return None
    last = events[-1]
    return Question(step=last.step, host=last.host, who=last.data["who"], what=last.data["what"], since=last.at)
