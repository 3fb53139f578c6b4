"""What the journal's events amount to: pure, and the only source of what is done."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """What became of one step on one host so far."""

    outcome: Outcome = Outcome.PENDING
    proof: str = ""
    began: datetime | None = None  # of the last attempt
    ended: datetime | None = None
    attempt: int = 1  # of the next act; an act whose end nobody saw keeps its number
    over: bool = False  # whether an act was begun and has surely ended
    figures: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[tuple[Any, ...], ...] | None = None  # the reading made before the first act
    operator: str = ""

    @property
    def doubtful(self) -> bool:
        """Whether it may have taken effect or not."""
        return self.outcome in (Outcome.RUNNING, Outcome.UNKNOWN)


NOT_BEGUN = TaskState()


@dataclass(kw_only=True)
class History:
    """A night so far."""

    run: str = ""
    checklist: str = ""  # the name of the one it goes by; empty where the journal is from before there were several
    digest: str = ""
    plan: tuple[str, ...] = ()  # its lines
    began: datetime | None = None
    ended: datetime | None = None
    tasks: dict[tuple[str, str], TaskState] = field(default_factory=dict)  # (step, host)
    confirmed: dict[str, str] = field(default_factory=dict)  # irreversible step: who typed its word
    approved: dict[str, str] = field(default_factory=dict)  # irreversible step: the second person
    abandoned: str = ""  # who gave the night up, and when; empty where nobody did

    def task_state(self, step: str, host: str) -> TaskState:
        """What became of a step on a host."""
        return self.tasks.get((step, host), NOT_BEGUN)

    def copy(self) -> History:
        """As it is now, whatever happens next."""
        return replace(self, tasks=dict(self.tasks), confirmed=dict(self.confirmed), approved=dict(self.approved))


def read_history(events: Iterable[Event]) -> History:
    """The history that these events tell."""
    history = History()
    for event in events:
        _tell(history, event)
    return history


class HistoryCache:
    """The history of one journal, kept up to date: each event is read once, however often somebody asks."""

    def __init__(self) -> None:
        self._history = History()
        self._told = 0  # events
        self._telling = threading.Lock()

    def of(self, events: Sequence[Event]) -> History:
        """What the journal's events amount to, which may be more of them than at the last call."""
        with self._telling:
            for event in events[self._told :]:
                _tell(self._history, event)
            self._told = max(self._told, len(events))
            return self._history.copy()


def _tell(history: History, event: Event) -> None:
    if event.kind in _TELL:
        _TELL[event.kind](history, event)


def _begin(history: History, event: Event) -> None:
    history.run, history.began = event.data["run"], event.at
    history.checklist = event.data.get("checklist", "")
    _resume(history, event)


def _resume(history: History, event: Event) -> None:
    history.digest, history.ended = event.data["digest"], None
    history.plan = tuple(event.data.get("plan", history.plan))


def _answer(history: History, event: Event) -> None:
    if event.data.get("confirmed"):
        history.confirmed[event.step] = event.operator
    if event.data.get("approved"):
        history.approved[event.step] = event.data["approved"]


def _abandon(history: History, event: Event) -> None:
    history.abandoned = history.abandoned or f"{event.operator}, {event.at:%Y-%m-%d %H:%M} UTC"


def _end(history: History, event: Event) -> None:
    history.ended = event.at


def _intend(history: History, event: Event) -> None:
    _change(
        history,
        event,
        outcome=Outcome.RUNNING,
        began=event.at,
        ended=None,
        over=False,
        proof="",
        operator=event.operator,
    )


def _read(history: History, event: Event) -> None:
    _change(history, event, before=tuple(tuple(row) for row in event.data["rows"]))


def _conclude(history: History, event: Event) -> None:
    task_state, over = history.task_state(event.step, event.host), bool(event.data.get("over"))
    _change(
        history,
        event,
        outcome=Outcome(event.data["outcome"]),
        proof=event.data["proof"],
        figures=event.data.get("figures", {}),
        began=task_state.began or event.at,
        ended=event.at,
        attempt=task_state.attempt + (1 if over else 0),
        over=over,
        operator=event.operator,
    )


def _change(history: History, event: Event, **changes: Any) -> None:
    key = (event.step, event.host)
    history.tasks[key] = replace(history.task_state(*key), **changes)


_TELL: Mapping[Kind, Callable[[History, Event], None]] = {
    Kind.BEGAN: _begin,
    Kind.RESUMED: _resume,
    Kind.INTENT: _intend,
    Kind.READING: _read,
    Kind.ANSWER: _answer,
    Kind.RESULT: _conclude,
    Kind.ABANDONED: _abandon,
    Kind.ENDED: _end,
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a judge may know beside what it sees."""

    now: datetime
    history: History

    def finished(self, step: str, host: str) -> datetime | None:
        """When a step was proven done on a host in this run."""
        task_state = self.history.task_state(step, host)
        return task_state.ended if task_state.outcome is Outcome.DONE else None

    def before(self, step: str, host: str) -> tuple[tuple[Any, ...], ...] | None:
        """The reading made there before the step's first act."""
        return self.history.task_state(step, host).before
