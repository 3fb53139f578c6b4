"""A night in memory that lasts for hours, and what is reported of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.ports import Choice
from runbooks.engine.reporting.estimates import LastTime
from runbooks.night.report.model import Account, account
from tests.fakes import FakeClock, FakeNight, Killed

PACE = 200  # an act, which takes a second, takes three minutes
LAST = LastTime(name="2013-08-16", times={"backups.dump": timedelta(minutes=71)})
NASTY = '<script>alert("1")</script> | `&`'  # what a host may say, and no browser shall hear


def eventful() -> FakeNight:
    """A night with a failure, decisions and a step that was skipped, before it begins."""
    fake_night = FakeNight(clock=FakeClock(pace=PACE))
    fake_night.production.broken["watcher: system-watcher stop"] = ProbeOutput
    fake_night.person.script["choose watcher.stop watcher"] = [Choice.RETRY, Choice.BY_HAND, Choice.SKIP]
    fake_night.person.reason = lambda step, task: NASTY  # type: ignore[method-assign]
    return fake_night


def whole() -> Account:
    """The account of that night when it is done."""
    fake_night = eventful()
    fake_night.run()
    return told(fake_night, at_work=False)


def at_work(key: str) -> Account:
    """The account of that night at the moment when a step begins."""
    fake_night = eventful()
    fake_night.screen.at_step = partial(_stop, key)
    try:
        fake_night.run()
    except Killed:
        return told(fake_night, at_work=True)
    raise AssertionError(f"the night never came to {key}")


def told(fake_night: FakeNight, *, at_work: bool, figures: Sequence[str] = ("schools: 35 archived",)) -> Account:
    """Return the account of a night as of now."""
    now = fake_night.clock.now()
    return account(fake_night.plan, fake_night.journal.events, now, at_work=at_work, last=LAST, figures=figures)


def _stop(last: str, key: str) -> None:
    if key == last:
        raise Killed
