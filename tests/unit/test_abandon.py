"""A night that is not gone on with: its debts paid in a safe order, its jobs shown and stopped, and it is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from errors import AbortedError, CutoverError, ExitCode, RefusedError, UnknownError, UsageError
from runbooks.cutover import payments
from runbooks.engine.live.operators import Nobody
from runbooks.engine.model.actions import Reading
from runbooks.engine.model.debts import owed
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Choice
from runbooks.engine.run.abandon import give_up
from runbooks.engine.run.runner import StepFailed
from runbooks.night import abandon, run
from tests.fakes import NIGHT, VACUUM, FakeScreen, Theatre, night_plan, rehearsal, unreachable
from tests.operated_night import House, open_house

KEYS = [step.key for step in night_plan().steps]


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> House:
    return open_house(monkeypatch, tmp_path)


def stopped_before(theatre: Theatre, key: str) -> None:
    """The operator stops the night as a step begins."""

    def stop(begun: str) -> None:
        if begun == key:
            raise KeyboardInterrupt

    theatre.screen.at_step = stop
    with pytest.raises(KeyboardInterrupt):
        theatre.run()
    theatre.screen = FakeScreen()


@pytest.mark.parametrize("key", KEYS[1:])
def test_wherever_a_night_stopped_paying_switches_everything_on_and_maintenance_off_last(key: str) -> None:
    theatre = Theatre()
    stopped_before(theatre, key)
    give_up(theatre.stage, payments(rehearsal(), NIGHT))

    assert owed(theatre.journal.events) == ()
    world, new = theatre.production, KEYS.index(key) > KEYS.index("warehouse.cut-over")
    assert (world.maintenance, world.watcher) == (False, True)
    assert set(world.schedule.values()) == set(world.standby.values()) == {True}
    assert world.etl == {"warehouse-old": not new, "warehouse-new": new}
    if key != "warehouse.rebuild":
        assert world.acts[-1] == "control: ttmscalr maintenance:off -f rehearsal"
    kinds = [event.kind for event in theatre.journal.events]
    assert (Kind.ABANDONED in kinds) == (not new)
    assert kinds[-1] is Kind.ENDED


def test_a_night_given_up_is_not_gone_on_with_and_begins_anew(house: House) -> None:
    house.run_until("db-shard-1: backup transfer", Reading)
    house.pay()
    assert house.debts == []

    with pytest.raises(UsageError, match=r"was given up \(chris@.*, 2014-08-15 21:\d\d UTC\)"):
        house.resume()
    with pytest.raises(UsageError, match="was given up"):
        run.run_alone(house.environment, house.theatre.plan, house.cast, "archiving.run")
    assert not [act for act in house.theatre.production.acts if "archive.all" in act]

    house.run()
    assert house.theatre.production.archived
    assert house.events[-1].kind is Kind.ENDED
    assert read_history(house.events).abandoned == ""


def test_giving_up_says_what_is_not_done_and_needs_a_yes(house: House) -> None:
    house.run_until(f"db-shard-1: {VACUUM['db-shard-1']}", Reading)
    house.theatre.person.confirms = False
    with pytest.raises(AbortedError, match="nothing was switched on") as aborted:
        house.pay()

    assert "not done: Vacuum full, Binary snapshot, Data warehouse cut over" in house.theatre.person.asked[-1]
    assert "to be switched on: standby: db-master, db-shard-1" in house.theatre.person.asked[-1]
    assert aborted.value.hint == house.theatre.plan.go_on
    assert house.theatre.production.maintenance
    assert not [event for event in house.events if event.kind is Kind.ABANDONED]


def test_what_was_skipped_in_the_end_is_paid_and_the_night_ends_as_done(house: House) -> None:
    house.theatre.person.script["perform watcher.start watcher"] = [Choice.SKIP]
    assert house.run_until("nobody: nothing", Reading).exit_code is ExitCode.DEBT
    house.pay()

    assert house.theatre.production.watcher
    assert [event.kind for event in house.events if event.kind in (Kind.ABANDONED, Kind.ENDED)] == [Kind.ENDED]
    assert house.outcome("watcher.start", "watcher") is Outcome.DONE


def test_maintenance_mode_alone_stays_owed_while_a_school_is_deleting(house: House) -> None:
    house.run_until("debug: inv archive.all --env=rehearsal --date=2014-08-15 --here", lambda: Reading(code=10))
    house.theatre.production.half_way[13] = "deleting"
    with pytest.raises(StepFailed, match=r"control: failed: not begun: these schools .*: 13 \(deleting\)") as stopped:
        house.pay()
    assert f"Put it right, then {house.theatre.plan.pay} goes on from here." == stopped.value.hint
    assert house.theatre.plan.pay in house.abort().hint
    assert house.debts == ["maintenance mode (the app)"]
    assert house.theatre.production.maintenance

    house.theatre.production.half_way.clear()
    house.pay()
    assert house.debts == []


def test_a_cut_over_that_nobody_knows_is_looked_at_before_an_etl_is_enabled(house: House) -> None:
    def moved_and_gone() -> Reading:
        names = house.theatre.production.names
        names.update({"warehouse.ttm.com": "10.0.0.2", "warehouse-2013.ttm.com": "10.0.0.1"})
        raise CutoverError("The terminal was closed.")

    house.run_until("warehouse-new: dns-upsert warehouse.ttm.com warehouse-new", moved_and_gone)
    assert house.outcome("warehouse.cut-over", "warehouse-new") is Outcome.RUNNING
    house.pay()
    assert house.outcome("warehouse.cut-over", "warehouse-new") is Outcome.DONE
    assert house.theatre.production.etl == {"warehouse-old": False, "warehouse-new": True}


def lose(house: House, *hosts: str) -> None:
    """The link to these hosts is lost while their vacuum runs."""

    def lost() -> Reading:
        raise UnknownError("The link was lost.")

    for host in hosts:
        house.theatre.production.broken[f"{host}: {VACUUM[host]}"] = lost
    house.run_until(f"{hosts[0]}: {VACUUM[hosts[0]]}", lost)
    house.theatre.jobs.at_work.update(hosts)


def test_nothing_is_paid_while_a_job_of_the_night_still_runs(house: House) -> None:
    lose(house, "db-shard-2")
    with pytest.raises(
        RefusedError, match=rf"still running on db-shard-2: {VACUUM['db-shard-2']} \(process 4711, since 2014-08-15"
    ):
        house.pay()
    assert "standby (db-master)" in house.debts


def test_abort_says_what_still_runs_and_where_and_stops_it_when_the_date_is_typed(house: House) -> None:
    lose(house, "db-shard-2", "db-master")
    told = house.abort()
    assert (told.exit_code, house.theatre.jobs.stopped) == (11, [])
    assert "still at work, or not to be asked: db-master, db-shard-2" in str(told)
    assert "last said: 42 of 100" in house.out.getvalue()
    assert "maintenance mode: the app" in house.out.getvalue()

    house.typed = "2014-08-16"
    assert "nothing was stopped" in str(house.abort(stop=True))
    assert house.theatre.jobs.stopped == []

    house.typed = "2014-08-15"
    stopped = house.abort(stop=True)
    assert (stopped.exit_code, len(house.theatre.jobs.stopped)) == (11, 2)
    assert "no job of it runs on any host" in str(stopped)
    assert house.events[-1].data["code"] == 11
    # What was stopped is run anew by whoever goes on, under another name.
    assert house.outcome("vacuum.full", "db-shard-2") is Outcome.FAILED
    house.resume()
    assert house.theatre.production.acts.count(f"db-shard-2: {VACUUM['db-shard-2']}") == 1


def test_what_can_not_be_stopped_is_named_as_unknown(house: House) -> None:
    lose(house, "db-shard-2", "db-master")
    house.theatre.jobs.stubborn.add("db-master")
    left = house.abort(stop=True)

    assert left.exit_code is ExitCode.UNKNOWN
    assert "still running on db-master" in str(left)
    assert "db-shard-2" not in str(left)
    assert house.outcome("vacuum.full", "db-master") is Outcome.UNKNOWN


def test_a_host_that_can_not_be_asked_is_named(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(house, "db-shard-2")
    monkeypatch.setattr(house.theatre.jobs, "look", lambda host, name: unreachable())
    house.abort()
    assert (
        f"nobody knows on db-shard-2: {VACUUM['db-shard-2']} (Connecting failed: no route to host.)"
        in house.out.getvalue()
    )
    with pytest.raises(UnknownError, match="This must have ended first"):
        house.pay()


@pytest.mark.parametrize("what", ["pay", "stop", "approve"])
def test_without_a_person_nothing_is_given_up_stopped_or_approved(house: House, what: str) -> None:
    house.run_until("watcher: system-watcher stop", Reading)
    cast = replace(house.cast, person=Nobody())
    environment, plan = house.environment, house.theatre.plan
    with pytest.raises(UsageError) as refused:
        if what == "pay":
            abandon.pay(environment, plan, cast, payments(environment, NIGHT))
        elif what == "stop":
            abandon.abort(environment, plan, cast, stop=True)
        else:
            run.approve(environment, plan, cast)
    assert refused.value.exit_code == 2
