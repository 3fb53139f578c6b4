"""The clock of a night: time elapsed, expected end, and the latest time to turn back. Pure."""

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
    """A night's times at a moment, all in its time zone."""

    now: datetime
    began: datetime
    left: timedelta  # estimate of the steps that are not done
    window_end: datetime | None = None  # none: its length is not limited
    turn_back_by: datetime | None = None  # none: no window, or past the point of no return
    ended: datetime | None = None  # none: it is not done

    @property
    def elapsed(self) -> timedelta:
        """The time since the night began; for an ended night, its duration."""
        return (self.ended or self.now) - self.began

    @property
    def done_by(self) -> datetime:
        """The expected end, provided that a run is at work on it."""
        return self.ended or self.now + self.left

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the night's window."""
        return tuple(_warnings(self))


def by_estimate(plan: Plan, events: tuple[Event, ...]) -> timedelta:
    """Return the sum of the estimates of the settled steps."""
    history = read_history(events)
    settled = (
        step for step in plan.steps if all(history.task_state(step.key, t.host).outcome in SETTLED for t in step.tasks)
    )
    return sum((step.time_tonight for step in settled), timedelta())


def forecast(plan: Plan, events: tuple[Event, ...], now: datetime) -> Forecast | None:
    """Return the clock of a night at a moment; None before it began."""
    history = read_history(events)
    if history.began is None:
        return None
    intervals, end = work_intervals(events), plan.window_end(history.began)
    back_out = back_out_time(plan, owed(events))
    ahead = sum((_left(step, history, intervals, now) for step in plan.steps), timedelta())
    left = back_out if history.abandoned else ahead
    back = None if end is None or history.ended or committed(plan, history) else end - back_out
    began, until, back, ended = (
        moment.astimezone(plan.zone) if moment else None for moment in (history.began, end, back, history.ended)
    )
    assert began is not None
    return Forecast(
        now=now.astimezone(plan.zone), began=began, left=left, window_end=until, turn_back_by=back, ended=ended
    )


def back_out_time(plan: Plan, debts: Iterable[Debt]) -> timedelta:
    """Return the estimated time to switch everything that is owed back on."""
    due = set(debts)
    paying = [step for step in plan.steps if any(task.pays in due for task in step.tasks)]
    return sum((step.estimate or timedelta() for step in paying), timedelta())


def committed(plan: Plan, history: History) -> bool:
    """True if the point of no return is passed."""
    return bool(history.approved if plan.approve else history.confirmed)


def _left(step: Step, history: History, intervals: tuple[WorkInterval, ...], now: datetime) -> timedelta:
    if all(history.task_state(step.key, task.host).outcome in SETTLED for task in step.tasks):
        return timedelta()
    return max(step.time_tonight - worked(intervals, step.key, now), timedelta())


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
