"""A host that has another name now, and a run that is gone: named, with a way on, and nothing is done meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from runbooks.cutover import back_out_steps
from runbooks.engine.model.debts import DebtLeft, owed_now
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.run.abandon import abandon_night
from runbooks.night.watch import Look, Signs
from tests.cases.test_runbook_hosts_gone import renamed
from tests.fakes import EVENING, NIGHT, FakeClock, FakeNight, night_plan
from tests.unit.test_abandon import stopped_before


def test_a_resume_without_a_host_that_owes_does_nothing_until_it_has_its_name_back() -> None:
    night = FakeNight()
    stopped_before(night, "warehouse.stop-etl")
    acts, plan = list(night.production.acts), night.plan
    night.plan = night_plan(renamed())
    with pytest.raises(DebtLeft, match=r"System Watcher: watcher\. No step of the plan is for watcher"):
        night.run()
    assert night.production.acts == acts
    assert night.journal.events[-1].kind is Kind.STOPPED

    night.plan = plan
    night.run()
    assert owed_now(night.journal.events) == ()


def test_the_way_back_pays_what_it_can_before_it_names_what_it_can_not() -> None:
    night = FakeNight()
    stopped_before(night, "warehouse.stop-etl")
    before = {debt.what for debt in owed_now(night.journal.events)}
    night.plan = night_plan(renamed())
    with pytest.raises(DebtLeft, match="watcher"):
        abandon_night(night.context, back_out_steps(renamed(), NIGHT))
    assert {"maintenance mode", "System Watcher"} <= before
    assert [debt.what for debt in owed_now(night.journal.events)] == ["System Watcher"]


def event(number: int, at: datetime) -> Event:
    return Event(number=number, at=at, kind=Kind.INTENT, operator="kim@desk")


def test_each_event_and_each_beat_is_a_sign_and_a_clock_that_is_off_counts_only_once() -> None:
    clock = FakeClock()
    signs, hour = Signs(clock), timedelta(hours=1)
    first = Look((event(1, clock.now() - hour),))
    assert signs.silence(first) == hour
    assert signs.silence(Look(first.events, beats=1, beat=EVENING - 2 * hour)) == timedelta()
    clock.wait(timedelta(minutes=1))
    assert signs.silence(Look(first.events, beats=1)) == timedelta(minutes=1)
    assert signs.silence(Look((*first.events, event(2, EVENING - 3 * hour)), beats=1)) == timedelta()
