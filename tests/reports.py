"""A night in memory that lasts for hours, and what is reported of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from runbooks.engine.model.actions import Reading
from runbooks.engine.model.ports import Choice
from runbooks.engine.reporting.estimates import LastTime
from runbooks.night.report.model import Account, account
from tests.fakes import FakeClock, Killed, Theatre

PACE = 200  # an act, which takes a second, takes three minutes
LAST = LastTime(name="2013-08-16", times={"backups.dump": timedelta(minutes=71)})
NASTY = '<script>alert("1")</script> | `&`'  # what a host may say, and no browser shall hear


def eventful() -> Theatre:
    """A night with a failure, decisions and a step that was skipped, before it begins."""
    theatre = Theatre(clock=FakeClock(pace=PACE))
    theatre.production.broken["watcher: system-watcher stop"] = Reading
    theatre.person.script["choose watcher.stop watcher"] = [Choice.RETRY, Choice.BY_HAND, Choice.SKIP]
    theatre.person.reason = lambda step, task: NASTY  # type: ignore[method-assign]
    return theatre


def whole() -> Account:
    """The account of that night when it is done."""
    theatre = eventful()
    theatre.run()
    return told(theatre, at_work=False)


def at_work(key: str) -> Account:
    """The account of that night at the moment when a step begins."""
    theatre = eventful()
    theatre.screen.at_step = partial(_stop, key)
    try:
        theatre.run()
    except Killed:
        return told(theatre, at_work=True)
    raise AssertionError(f"the night never came to {key}")


def told(theatre: Theatre, *, at_work: bool, figures: Sequence[str] = ("schools: 35 archived",)) -> Account:
    """What can be told of a night now."""
    now = theatre.clock.now()
    return account(theatre.plan, theatre.journal.events, now, at_work=at_work, last=LAST, figures=figures)


def _stop(last: str, key: str) -> None:
    if key == last:
        raise Killed
