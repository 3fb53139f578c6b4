"""When each step was at work on each host: the journal's intents and results as stretches of time. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.outcome import Outcome

BREAKS = (Kind.RESUMED, Kind.STOPPED)  # nobody follows what was at work before


@dataclass(frozen=True, kw_only=True)
class WorkInterval:
    """A step at work on a host, from an intent to its result."""

    step: str
    host: str
    began: datetime
    ended: datetime | None = None  # none: it is at work
    outcome: Outcome = Outcome.RUNNING


def work_intervals(events: Iterable[Event]) -> tuple[WorkInterval, ...]:
    """Every stretch, in the order in which they began; one that nobody followed to its end is unknown."""
    found: list[WorkInterval] = []
    at_work: dict[tuple[str, str], int] = {}
    last: datetime | None = None
    for event in events:
        where = (event.step, event.host)
        if event.kind is Kind.INTENT:
            at_work[where] = len(found)
            found.append(WorkInterval(step=event.step, host=event.host, began=event.at))
        elif event.kind is Kind.RESULT and where in at_work:
            index = at_work.pop(where)
            found[index] = replace(found[index], ended=event.at, outcome=Outcome(event.data["outcome"]))
        elif event.kind in BREAKS:
            for index in at_work.values():
                found[index] = replace(found[index], ended=last, outcome=Outcome.UNKNOWN)
            at_work.clear()
        last = event.at
    return tuple(found)


def worked(work_intervals: Sequence[WorkInterval], step: str, now: datetime) -> timedelta:
    """How long a step was at work on any host; what several hosts did at once counts once, pauses do not."""
    total, until = timedelta(), datetime.min.replace(tzinfo=now.tzinfo)
    for work_interval in sorted((one for one in work_intervals if one.step == step), key=lambda one: one.began):
        ended = work_interval.ended or now
        total += max(ended - max(work_interval.began, until), timedelta())
        until = max(until, ended)
    return total
