"""The clock of a night: how long it has lasted, when it will be done, and until when turning back still fits. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from formatting import time_of_day
from runbooks.engine.model.debts import owed
from runbooks.engine.model.history import History, read_history
from runbooks.engine.model.journal import Event
from runbooks.engine.model.outcome import SETTLED
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.step import Debt, Step
from runbooks.engine.model.work_intervals import WorkInterval, work_intervals, worked


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """A night's times as seen at a moment, all of them in its time zone."""

    now: datetime
    began: datetime
    left: timedelta  # what the steps that are not done take, by their estimates
    window_end: datetime | None = None  # none: it may last as long as it will
    turn_back_by: datetime | None = None  # none: no window, or the point of no return is passed
    ended: datetime | None = None  # none: it is not done

    @property
    def elapsed(self) -> timedelta:
        """Since the night began, or how long it took."""
        return (self.ended or self.now) - self.began

    @property
    def done_by(self) -> datetime:
        """When it will be done, if somebody is at work on it."""
        return self.ended or self.now + self.left

    @property
    def warnings(self) -> tuple[str, ...]:
        """What must not be overlooked."""
        return tuple(_warnings(self))


def by_estimate(plan: Plan, events: tuple[Event, ...]) -> timedelta:
    """What the steps that are over take by their estimates."""
    history = read_history(events)
    over = (
        step for step in plan.steps if all(history.task_state(step.key, t.host).outcome in SETTLED for t in step.tasks)
    )
    return sum((step.estimate for step in over if step.estimate), timedelta())


def forecast(plan: Plan, events: tuple[Event, ...], now: datetime) -> Forecast | None:
    """The clock of a night at a moment; none before it began."""
    history = read_history(events)
    if history.began is None:
        return None
    every, end = work_intervals(events), plan.window_end(history.began)
    back_takes = way_back(plan, owed(events))
    ahead = sum((_left(step, history, every, now) for step in plan.steps), timedelta())
    left = back_takes if history.abandoned else ahead
    back = None if end is None or history.ended or committed(plan, history) else end - back_takes
    began, until, back, ended = (
        moment.astimezone(plan.zone) if moment else None for moment in (history.began, end, back, history.ended)
    )
    assert began is not None
    return Forecast(
        now=now.astimezone(plan.zone), began=began, left=left, window_end=until, turn_back_by=back, ended=ended
    )


def way_back(plan: Plan, debts: Iterable[Debt]) -> timedelta:
    """How long it takes to switch on again what is owed."""
    due = set(debts)
    paying = [step for step in plan.steps if any(task.pays in due for task in step.tasks)]
    return sum((step.estimate or timedelta() for step in paying), timedelta())


def committed(plan: Plan, history: History) -> bool:
    """Whether the point of no return is passed."""
    return bool(history.approved if plan.approve else history.confirmed)


def _left(step: Step, history: History, every: tuple[WorkInterval, ...], now: datetime) -> timedelta:
    if all(history.task_state(step.key, task.host).outcome in SETTLED for task in step.tasks):
        return timedelta()
    return max((step.estimate or timedelta()) - worked(every, step.key, now), timedelta())


def _warnings(seen: Forecast) -> Iterator[str]:
    if seen.ended or seen.window_end is None:
        return
    if seen.now > seen.window_end:
        yield f"The window closed at {time_of_day(seen.window_end, seen.now)}."
    elif seen.done_by > seen.window_end:
        done, end = (time_of_day(moment, seen.now) for moment in (seen.done_by, seen.window_end))
        yield f"By the estimates the night is done at {done}, after its window closes at {end}."
    if seen.turn_back_by and seen.now > seen.turn_back_by:
        yield "Turning back no longer fits into the window, by the estimates."
