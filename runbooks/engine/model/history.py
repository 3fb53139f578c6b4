"""The state of a night, derived from the journal's events alone. Pure."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from inventory.figures import Figures
from runbooks.engine.model.journal import Event, Kind, deferral_text
from runbooks.engine.model.outcome import Outcome


@dataclass(frozen=True, kw_only=True)
class TaskState:
    """The state of one step on one host so far."""

    outcome: Outcome = Outcome.PENDING
    proof: str = ""
    began: datetime | None = None  # of the last attempt
    ended: datetime | None = None
    attempt: int = 1  # of the next act; an act whose end was not seen keeps its number
    over: bool = False  # True if an act was begun and has certainly ended
    figures: Mapping[str, Any] = field(default_factory=dict)
    before: tuple[tuple[Any, ...], ...] | None = None  # rows read before the first act
    operator: str = ""

    @property
    def doubtful(self) -> bool:
        """True if it may or may not have taken effect."""
        return self.outcome in (Outcome.RUNNING, Outcome.UNKNOWN)


NOT_BEGUN = TaskState()


@dataclass(frozen=True, kw_only=True)
class Word:
    """A person's word at a point of no return: the typed date, or the approval."""

    operator: str  # e.g. `chris@laptop`
    at: datetime
    number: int  # of its event
    scope: str = ""  # the digest it was given for; empty in a journal from before there were scopes

    @property
    def tenants(self) -> str:
        """The digest of the tenants, which follows that of the scope: 1f3a5d7c9b2e.5c4001ed; empty without one."""
        return self.scope.partition(".")[2]


@dataclass(kw_only=True)
class History:
    """A night so far."""

    run: str = ""
    checklist: str = ""  # its name; empty in a journal from before there were several
    digest: str = ""
    plan: tuple[str, ...] = ()  # its lines
    figures: Figures | None = None  # as counted before it began; None: not counted
    began: datetime | None = None
    archived_before: datetime | None = None  # when an earlier run last archived, of this night or another
    ended: datetime | None = None
    tasks: dict[tuple[str, str], TaskState] = field(default_factory=dict)  # (step, host)
    confirmed: dict[str, Word] = field(default_factory=dict)  # irreversible step: the date, last typed
    approved: dict[str, Word] = field(default_factory=dict)  # irreversible step: the second person's last approval
    abandoned: str = ""  # the operator who abandoned the night, and when; empty if it is not abandoned

    def task_state(self, step: str, host: str) -> TaskState:
        """Return the state of a step on a host."""
        return self.tasks.get((step, host), NOT_BEGUN)

    def copy(self) -> History:
        """Return a copy that later events do not change."""
        return replace(self, tasks=dict(self.tasks), confirmed=dict(self.confirmed), approved=dict(self.approved))


def read_history(events: Iterable[Event]) -> History:
    """Return the history of these events."""
    history = History()
    for event in events:
        _apply(history, event)
    return history


class HistoryCache:
    """The history of one journal, kept up to date: each event is applied once."""

    def __init__(self) -> None:
        self._history = History()
        self._applied = 0  # events
        self._lock = threading.Lock()

    def of(self, events: Sequence[Event]) -> History:
        """Return the history of the journal's events, which may have grown since the last call."""
        with self._lock:
            for event in events[self._applied :]:
                _apply(self._history, event)
            self._applied = max(self._applied, len(events))
            return self._history.copy()


def _apply(history: History, event: Event) -> None:
    if event.kind in _APPLY:
        _APPLY[event.kind](history, event)


def _begin(history: History, event: Event) -> None:
    history.run, history.began = event.data["run"], event.at
    history.checklist = event.data.get("checklist", "")
    before, figures = event.data.get("archived_before"), event.data.get("figures")
    history.archived_before = datetime.fromisoformat(before) if before else None
    history.figures = Figures.from_json(figures) if figures else None
    _resume(history, event)


def _resume(history: History, event: Event) -> None:
    history.digest, history.ended = event.data["digest"], None
    history.plan = tuple(event.data.get("plan", history.plan))


def _answer(history: History, event: Event) -> None:
    if event.data.get("confirmed"):
        history.confirmed[event.step] = _word(event, event.operator)
    if event.data.get("approved"):
        history.approved[event.step] = _word(event, event.data["approved"])


def _word(event: Event, operator: str) -> Word:
    return Word(operator=operator, at=event.at, number=event.number, scope=event.data.get("scope", ""))


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


def _defer(history: History, event: Event) -> None:
    _change(
        history,
        event,
        outcome=Outcome.DEFERRED,
        proof=deferral_text(event.data),
        ended=event.at,
        operator=event.operator,
    )


def _change(history: History, event: Event, **changes: Any) -> None:
    key = (event.step, event.host)
    history.tasks[key] = replace(history.task_state(*key), **changes)


_APPLY: Mapping[Kind, Callable[[History, Event], None]] = {
    Kind.BEGAN: _begin,
    Kind.RESUMED: _resume,
    Kind.INTENT: _intend,
    Kind.READING: _read,
    Kind.ANSWER: _answer,
    Kind.RESULT: _conclude,
    Kind.DEFERRED: _defer,
    Kind.ABANDONED: _abandon,
    Kind.ENDED: _end,
}


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Facts that a judge may use besides the probes' output."""

    now: datetime
    history: History

    def finished(self, step: str, host: str) -> datetime | None:
        """Return the time at which a step was verified as done on a host in this run; None if it was not."""
        task_state = self.history.task_state(step, host)
        return task_state.ended if task_state.outcome is Outcome.DONE else None

    def before(self, step: str, host: str) -> tuple[tuple[Any, ...], ...] | None:
        """Return the rows read there before the step's first act; None if none were."""
        return self.history.task_state(step, host).before
