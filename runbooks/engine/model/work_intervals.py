"""The time each step was at work on each host, from the journal's intents and results. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.outcome import Outcome

BREAKS = (Kind.RESUMED, Kind.STOPPED)  # work begun before these is no longer followed


@dataclass(frozen=True, kw_only=True)
class WorkInterval:
    """A step at work on a host, from an intent to its result."""

    step: str
    host: str
    began: datetime
    ended: datetime | None = None  # none: still at work
    outcome: Outcome = Outcome.RUNNING


def work_intervals(events: Iterable[Event]) -> tuple[WorkInterval, ...]:
    """Return every interval in the order of their begin; one that was not followed to its end is unknown."""
    intervals: list[WorkInterval] = []
    at_work: dict[tuple[str, str], int] = {}
    last: datetime | None = None
    for event in events:
        where = (event.step, event.host)
        if event.kind is Kind.INTENT:
            at_work[where] = len(intervals)
            intervals.append(WorkInterval(step=event.step, host=event.host, began=event.at))
        elif event.kind is Kind.RESULT and where in at_work:
            index = at_work.pop(where)
            intervals[index] = replace(intervals[index], ended=event.at, outcome=Outcome(event.data["outcome"]))
        elif event.kind in BREAKS:
            for index in at_work.values():
                intervals[index] = replace(intervals[index], ended=last, outcome=Outcome.UNKNOWN)
            at_work.clear()
        last = event.at
    return tuple(intervals)


def worked(intervals: Sequence[WorkInterval], step: str, now: datetime) -> timedelta:
    """Return the time a step was at work on any host; overlapping work counts once, pauses do not count."""
    total, until = timedelta(), datetime.min.replace(tzinfo=now.tzinfo)
    for interval in sorted((each for each in intervals if each.step == step), key=lambda each: each.began):
        ended = interval.ended or now
        total += max(ended - max(interval.began, until), timedelta())
        until = max(until, ended)
    return total
