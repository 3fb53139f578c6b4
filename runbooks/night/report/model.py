"""The content of the report: everything that page and Markdown show, computed once from the journal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from runbooks.engine.model.debts import detailed, owed
from runbooks.engine.model.forecast import Forecast, forecast
from runbooks.engine.model.history import History, TaskState, read_history
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.outcome import SETTLED, Outcome
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.step import Mark, Step
from runbooks.engine.model.work_intervals import WorkInterval, work_intervals, worked
from runbooks.engine.reporting.estimates import NO_LAST_TIME, LastTime, counted
from runbooks.engine.reporting.event_text import event_text, waits
from runbooks.engine.reporting.step_report import StepReport, reported, standing

OPERATOR_KINDS = (Kind.BEGAN, Kind.RESUMED, Kind.ANSWER, Kind.DEFERRED, Kind.ABANDONED, Kind.STOPPED, Kind.ENDED)


@dataclass(frozen=True, kw_only=True)
class HostAccount:
    """A step on one host."""

    host: str
    outcome: Outcome
    proof: str
    operator: str
    work_intervals: tuple[WorkInterval, ...]


@dataclass(frozen=True, kw_only=True)
class StepAccount:
    """One step of the night, with the times it is compared with."""

    step: Step
    outcome: Outcome
    spent: timedelta | None  # time at work, without pauses; None if there was nothing to do
    last: timedelta | None  # what it took in the previous night
    hosts: tuple[HostAccount, ...]

    @property
    def manual(self) -> bool:
        """True if a person did it."""
        return self.step.shown_mark is Mark.MANUAL


@dataclass(frozen=True, kw_only=True)
class OperatorAction:
    """An action or answer of an operator."""

    at: datetime
    operator: str
    what: str


@dataclass(frozen=True, kw_only=True)
class Account:
    """A night as it stands."""

    plan: Plan
    run: str
    forecast: Forecast
    state: str  # running, waiting, not running, stopped, abandoned or done
    waits: str  # for which person, for what, since when; empty if it does not wait
    steps: tuple[StepAccount, ...]
    deeds: tuple[OperatorAction, ...]
    debts: tuple[str, ...]  # a line for each kind that is still switched off
    figures: tuple[str, ...]  # totals of schools, rows and bytes
    last_night: str  # the date of the night that `last` refers to; empty if there was none

    @property
    def settled(self) -> int:
        """The number of steps that are done, skipped or deferred."""
        return sum(1 for step in self.steps if step.outcome in SETTLED)

    @property
    def costs(self) -> tuple[StepAccount, ...]:
        """The MANUAL steps that took time, longest first."""
        manual = [step for step in self.steps if step.manual and step.spent]
        return tuple(sorted(manual, key=lambda step: step.spent or timedelta(), reverse=True))


def account(
    plan: Plan,
    events: tuple[Event, ...],
    now: datetime,
    *,
    at_work: bool,
    last: LastTime = NO_LAST_TIME,
    figures: Iterable[str] = (),
) -> Account:
    """Return the account of a night that has begun, as of now."""
    history, every = read_history(events), work_intervals(events)
    plan = counted(plan, history.figures)
    seen = forecast(plan, events, now)
    assert seen is not None, "the night has begun"
    steps = [_step(report, history, every, last, now, at_work) for report in reported(plan, history, at_work=at_work)]
    question = waits(plan, events) if at_work else ""
    return Account(
        plan=plan,
        run=history.run,
        forecast=seen,
        state="abandoned" if history.abandoned else _state(events[-1], at_work=at_work),
        waits=question,
        steps=tuple(steps),
        deeds=tuple(_deed(plan, event) for event in events if event.kind in OPERATOR_KINDS),
        debts=detailed(owed(events)),
        figures=tuple(figures),
        last_night=last.name,
    )


def _state(last: Event, *, at_work: bool) -> str:
    if last.kind is Kind.ENDED:
        return "done"
    if last.kind is Kind.STOPPED:
        return "stopped"
    if last.kind is Kind.QUESTION and at_work:
        return "waiting"
    return "running" if at_work else "not running"


def _step(
    report: StepReport, history: History, every: Sequence[WorkInterval], last: LastTime, now: datetime, at_work: bool
) -> StepAccount:
    step = report.step
    mine = [work_interval for work_interval in every if work_interval.step == step.key]
    hosts = [_host(task.host, history.task_state(step.key, task.host), mine, at_work) for task in step.tasks]
    return StepAccount(
        step=step,
        outcome=report.outcome,
        spent=worked(mine, step.key, now) if mine else None,
        last=last.times.get(step.key),
        hosts=tuple(hosts),
    )


def _host(host: str, task_state: TaskState, mine: Sequence[WorkInterval], at_work: bool) -> HostAccount:
    own_intervals = tuple(work_interval for work_interval in mine if work_interval.host == host)
    outcome = standing(task_state, at_work=at_work)
    return HostAccount(
        host=host, outcome=outcome, proof=task_state.proof, operator=task_state.operator, work_intervals=own_intervals
    )


def _deed(plan: Plan, event: Event) -> OperatorAction:
    return OperatorAction(at=event.at.astimezone(plan.zone), operator=event.operator, what=event_text(plan, event))
