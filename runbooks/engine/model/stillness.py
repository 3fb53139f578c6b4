"""The standing of a night as seen from another machine: by its journal and the age of its last sign. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from formatting import span
from runbooks.engine.model.debts import owed, summed
from runbooks.engine.model.journal import OVER, Event, Kind

PATIENCE = timedelta(seconds=90)  # without a sign of a run; with a look every 10 s, a person hears within 120 s


class Standing(Enum):
    """The standing of a night, as another machine sees it."""

    NOT_BEGUN = "has not begun"
    AT_WORK = "is at work"
    STILL = "stands still"
    OVER = "is over"  # its run has ended, and nothing is owed


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A night's standing, and the sentence that says it."""

    standing: Standing
    text: str


def standing_of(events: Sequence[Event], silence: timedelta) -> Seen:
    """Return how the night stands; `silence` is the time since the last event or heartbeat of a run."""
    if not events:
        return Seen(standing=Standing.NOT_BEGUN, text="it has not begun")
    debts, last = owed(events), events[-1]
    if last.kind is Kind.ENDED or (last.kind in OVER and not debts):
        return Seen(standing=Standing.OVER, text="its run is over, and nothing is owed")
    if silence < PATIENCE:
        return Seen(standing=Standing.AT_WORK, text="a run is at work")
    left = f"still off: {summed(debts)}" if debts else "nothing is switched off"
    text = f"no sign of a run for {span(silence)}; {_last(last)} ({last.operator}); {left}"
    return Seen(standing=Standing.STILL, text=text)


def age(events: Sequence[Event], beat: datetime | None, now: datetime) -> timedelta:
    """Return the time since the last sign of a run, by the times that were written; never negative."""
    signs = [*(event.at for event in events[-1:]), *filter(None, [beat])]
    return max(now - max(signs), timedelta()) if signs else timedelta()


def _last(event: Event) -> str:
    if event.kind is Kind.STOPPED:
        return f"it stopped: {event.data['reason'].splitlines()[0]}"
    where = " on ".join(filter(None, [event.step, event.host]))
    return f"the last event is {event.kind.value}" + (f" of {where}" if where else "")
