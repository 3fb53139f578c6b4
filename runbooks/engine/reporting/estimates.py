"""How long each step takes, from the journals of earlier nights. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from statistics import median

from formatting import plural
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.step import Step
from runbooks.engine.model.work_intervals import work_intervals, worked


@dataclass(frozen=True, kw_only=True)
class EarlierNight:
    """A night that was."""

    name: str  # its date, such as 2013-08-16
    events: tuple[Event, ...]
    rehearsal: bool = False  # of a lab, for an environment that had no night of its own


@dataclass(frozen=True, kw_only=True)
class LastTime:
    """What a night is compared with."""

    name: str = ""  # its date
    times: Mapping[str, timedelta] = field(default_factory=dict)  # step to the time it took


def times(events: Sequence[Event]) -> dict[str, timedelta]:
    """Step to the time it took: of every step that was done on all its hosts, and that somebody had to do."""
    if not events:
        return {}
    outcomes: dict[str, set[Outcome]] = {}
    for (step, _), task_state in read_history(events).tasks.items():
        outcomes.setdefault(step, set()).add(task_state.outcome)
    every = work_intervals(events)
    begun = {work_interval.step for work_interval in every}
    done = [step for step, found in outcomes.items() if found == {Outcome.DONE} and step in begun]
    return {step: worked(every, step, events[-1].at) for step in done}


def estimated(plan: Plan, nights: Sequence[EarlierNight]) -> Plan:
    """The plan, with what earlier nights took in place of what the checklist says.

    A lab's databases are small: a rehearsal's time counts only where it is longer than the checklist's.
    """
    known = [(night, times(night.events)) for night in nights]
    return replace(plan, steps=tuple(_estimated(step, known) for step in plan.steps))


def last_time(nights: Sequence[EarlierNight]) -> LastTime:
    """The last of some nights that came to its end; nothing where none did."""
    ended = [night for night in nights if _came_to_its_end(night.events)]
    return LastTime(name=ended[-1].name, times=times(ended[-1].events)) if ended else LastTime()


def _came_to_its_end(events: Sequence[Event]) -> bool:
    return events[-1].kind is Kind.ENDED and not any(event.kind is Kind.ABANDONED for event in events)


def _estimated(step: Step, known: Sequence[tuple[EarlierNight, Mapping[str, timedelta]]]) -> Step:
    told = [(night, took[step.key]) for night, took in known if step.key in took]
    if not told:
        return step
    time = timedelta(seconds=median(took.total_seconds() for _, took in told))
    rehearsed = any(night.rehearsal for night, _ in told)
    if rehearsed and step.estimate and step.estimate >= time:
        return step
    return replace(step, estimate=time, basis=_basis([night.name for night, _ in told], rehearsed=rehearsed))


def _basis(names: Sequence[str], *, rehearsed: bool) -> str:
    noun = "rehearsal" if rehearsed else "night"
    return f"as in the {noun} of {names[0]}" if len(names) == 1 else f"median of {len(names)} {plural(noun)}"
