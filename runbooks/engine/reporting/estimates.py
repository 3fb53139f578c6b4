"""Estimates of each step's duration, from the journals of earlier nights. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from statistics import median

from formatting import plural
from inventory.figures import Figures
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.step import PLANNED, Step
from runbooks.engine.model.work_intervals import work_intervals, worked
from runbooks.engine.reporting.figures_text import Amounts, amounts_of


@dataclass(frozen=True, kw_only=True)
class EarlierNight:
    """An earlier night."""

    name: str  # its date, such as 2013-08-16
    events: tuple[Event, ...]
    rehearsal: bool = False  # in a lab, for an environment without a night of its own


@dataclass(frozen=True, kw_only=True)
class LastTime:
    """The night that the current one is compared with."""

    name: str = ""  # its date
    times: Mapping[str, timedelta] = field(default_factory=dict)  # step to its duration
    amounts: Amounts | None = None  # None: unknown, or those of a lab


NO_LAST_TIME = LastTime()


def times(events: Sequence[Event]) -> dict[str, timedelta]:
    """Return step to duration for every step that was begun and is done on all its hosts."""
    if not events:
        return {}
    outcomes: dict[str, set[Outcome]] = {}
    for (step, _), task_state in read_history(events).tasks.items():
        outcomes.setdefault(step, set()).add(task_state.outcome)
    intervals = work_intervals(events)
    begun = {interval.step for interval in intervals}
    done = [step for step, seen in outcomes.items() if seen == {Outcome.DONE} and step in begun]
    return {step: worked(intervals, step, events[-1].at) for step in done}


def estimated(plan: Plan, nights: Sequence[EarlierNight]) -> Plan:
    """Return the plan with estimates from earlier nights in place of the checklist's.

    A lab's databases are small: a rehearsal's duration counts only if it is longer than the checklist's estimate.
    """
    measured = [(night, times(night.events)) for night in nights]
    return replace(plan, steps=tuple(_estimated(step, measured) for step in plan.steps))


def counted(plan: Plan, figures: Figures | None) -> Plan:
    """Return the plan with the time of archiving as it was counted, unless an earlier night measured it."""
    if figures is None or figures.seconds is None:
        return plan
    took = timedelta(seconds=figures.seconds)
    steps = (
        replace(step, estimate=took, basis="as counted") if step.point_of_no_return and step.basis == PLANNED else step
        for step in plan.steps
    )
    return replace(plan, steps=tuple(steps))


def last_time(nights: Sequence[EarlierNight]) -> LastTime:
    """Return the last night that ended as done; an empty LastTime if there is none."""
    ended = [night for night in nights if _ended_as_done(night.events)]
    if not ended:
        return NO_LAST_TIME
    last = ended[-1]
    amounts = None if last.rehearsal else amounts_of(read_history(last.events))
    return LastTime(name=last.name, times=times(last.events), amounts=amounts)


def _ended_as_done(events: Sequence[Event]) -> bool:
    return events[-1].kind is Kind.ENDED and not any(event.kind is Kind.ABANDONED for event in events)


def _estimated(step: Step, measured: Sequence[tuple[EarlierNight, Mapping[str, timedelta]]]) -> Step:
    durations = [(night, took[step.key]) for night, took in measured if step.key in took]
    if not durations:
        return step
    time = timedelta(seconds=median(took.total_seconds() for _, took in durations))
    rehearsed = any(night.rehearsal for night, _ in durations)
    if rehearsed and step.estimate and step.estimate >= time:
        return step
    return replace(step, estimate=time, basis=_basis([night.name for night, _ in durations], rehearsed=rehearsed))


def _basis(names: Sequence[str], *, rehearsed: bool) -> str:
    noun = "rehearsal" if rehearsed else "night"
    return f"as in the {noun} of {names[0]}" if len(names) == 1 else f"median of {len(names)} {plural(noun)}"
