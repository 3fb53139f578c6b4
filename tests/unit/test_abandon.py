"""An abandoned night: its debts paid in a safe order, its jobs shown and stopped, and it is over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from errors import AbortedError, CutoverError, ExitCode, RefusedError, UnknownError, UsageError
from runbooks.cutover import back_out_steps
from runbooks.engine.live.operators import NoOperator
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.debts import owed
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Choice
from runbooks.engine.run.abandon import abandon_night
from runbooks.engine.run.runner import StepFailed
from runbooks.night import abandon, approve, run
from tests.fakes import NIGHT, VACUUM, FakeNight, FakeScreen, archive_command, night_plan, rehearsal, unreachable
from tests.operated_night import OperatedNight, operated_night

KEYS = [step.key for step in night_plan().steps]


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OperatedNight:
    return operated_night(monkeypatch, tmp_path)


def stopped_before(fake_night: FakeNight, key: str) -> None:
    """The operator stops the night as a step begins."""

    def stop(begun: str) -> None:
        if begun == key:
            raise KeyboardInterrupt

    fake_night.screen.at_step = stop
    with pytest.raises(KeyboardInterrupt):
        fake_night.run()
    fake_night.screen = FakeScreen()


@pytest.mark.parametrize("key", KEYS[1:])
def test_backing_out_switches_everything_on_and_maintenance_off_last_wherever_a_night_stopped(key: str) -> None:
    fake_night = FakeNight()
    stopped_before(fake_night, key)
    abandon_night(fake_night.context, back_out_steps(rehearsal(), NIGHT))

    assert owed(fake_night.journal.events) == ()
    world, new = fake_night.production, KEYS.index(key) > KEYS.index("warehouse.cut-over")
    assert (world.maintenance, world.watcher) == (False, True)
    assert set(world.schedule.values()) == set(world.standby.values()) == {True}
    assert world.etl == {"warehouse-old": not new, "warehouse-new": new}
    if key != "warehouse.rebuild":
        assert world.acts[-1] == "control: ttmscalr maintenance:off -f rehearsal"
    kinds = [event.kind for event in fake_night.journal.events]
    assert (Kind.ABANDONED in kinds) == (not new)
    assert kinds[-1] is Kind.ENDED


def test_an_abandoned_night_is_not_resumed_and_begins_afresh(operated: OperatedNight) -> None:
    operated.run_until("db-shard-1: backup transfer", ProbeOutput)
    operated.pay()
    assert operated.debts == []

    with pytest.raises(UsageError, match=r"was abandoned \(chris@.*, 2014-08-15 21:\d\d UTC\)"):
        operated.resume()
    with pytest.raises(UsageError, match="was abandoned"):
        run.run_alone(operated.environment, operated.fake_night.plan, operated.terminal, "archiving.run")
    assert not [act for act in operated.fake_night.production.acts if "archive.all" in act]

    operated.run()
    assert operated.fake_night.production.archived
    assert operated.events[-1].kind is Kind.ENDED
    assert read_history(operated.events).abandoned == ""


def test_backing_out_lists_what_is_not_done_and_requires_a_yes(operated: OperatedNight) -> None:
    operated.run_until(f"db-shard-1: {VACUUM['db-shard-1']}", ProbeOutput)
    operated.fake_night.person.confirms = False
    with pytest.raises(AbortedError, match="nothing was switched back on") as aborted:
        operated.pay()

    assert "not done: Vacuum full, Binary snapshot, Data warehouse cut over" in operated.fake_night.person.asked[-1]
    assert "to be switched back on: standby: db-master, db-shard-1" in operated.fake_night.person.asked[-1]
    assert aborted.value.hint == operated.fake_night.plan.go_on
    assert operated.fake_night.production.maintenance
    assert not [event for event in operated.events if event.kind is Kind.ABANDONED]


def test_debts_of_skipped_last_steps_are_paid_and_the_night_ends_as_done(operated: OperatedNight) -> None:
    operated.fake_night.person.script["perform watcher.start watcher"] = [Choice.SKIP]
    assert operated.run_until("nobody: nothing", ProbeOutput).exit_code is ExitCode.DEBT
    operated.pay()

    assert operated.fake_night.production.watcher
    assert [event.kind for event in operated.events if event.kind in (Kind.ABANDONED, Kind.ENDED)] == [Kind.ENDED]
    assert operated.outcome("watcher.start", "watcher") is Outcome.DONE


def test_maintenance_mode_alone_stays_owed_while_a_school_is_deleting(operated: OperatedNight) -> None:
    operated.run_until(f"debug: {archive_command()}", lambda: ProbeOutput(code=10))
    operated.fake_night.production.half_way[13] = "deleting"
    with pytest.raises(
        StepFailed, match=r"control: failed: not begun: a deletion or restore is incomplete for .*: 13 \(deleting\)"
    ) as stopped:
        operated.pay()
    assert f"Fix it, then {operated.fake_night.plan.back_out} goes on from here." == stopped.value.hint
    assert operated.fake_night.plan.back_out in operated.abort().hint
    assert operated.debts == ["maintenance mode (the app)"]
    assert operated.fake_night.production.maintenance

    operated.fake_night.production.half_way.clear()
    operated.pay()
    assert operated.debts == []


def test_a_cutover_of_unknown_outcome_is_inspected_before_an_etl_is_enabled(operated: OperatedNight) -> None:
    def moved_and_gone() -> ProbeOutput:
        names = operated.fake_night.production.names
        names.update({"warehouse.ttm.com": "10.0.0.2", "warehouse-2013.ttm.com": "10.0.0.1"})
        raise CutoverError("The terminal was closed.")

    operated.run_until("warehouse-new: dns-upsert warehouse.ttm.com warehouse-new", moved_and_gone)
    assert operated.outcome("warehouse.cut-over", "warehouse-new") is Outcome.RUNNING
    operated.pay()
    assert operated.outcome("warehouse.cut-over", "warehouse-new") is Outcome.DONE
    assert operated.fake_night.production.etl == {"warehouse-old": False, "warehouse-new": True}


def lose(operated: OperatedNight, *hosts: str) -> None:
    """The link to these hosts is lost while their vacuum runs."""

    def lost() -> ProbeOutput:
        raise UnknownError("The link was lost.")

    for host in hosts:
        operated.fake_night.production.broken[f"{host}: {VACUUM[host]}"] = lost
    operated.run_until(f"{hosts[0]}: {VACUUM[hosts[0]]}", lost)
    operated.fake_night.jobs.at_work.update(hosts)


def test_nothing_is_paid_while_a_job_of_the_night_still_runs(operated: OperatedNight) -> None:
    lose(operated, "db-shard-2")
    with pytest.raises(
        RefusedError, match=rf"still running on db-shard-2: {VACUUM['db-shard-2']} \(process 4711, since 2014-08-15"
    ):
        operated.pay()
    assert "standby (db-master)" in operated.debts


def test_abort_lists_what_still_runs_and_where_and_stops_it_when_the_date_is_typed(operated: OperatedNight) -> None:
    lose(operated, "db-shard-2", "db-master")
    told = operated.abort()
    assert (told.exit_code, operated.fake_night.jobs.stopped) == (11, [])
    assert "still running or unreachable: db-master, db-shard-2" in str(told)
    assert "last said: 42 of 100" in operated.out.getvalue()
    assert "maintenance mode: the app" in operated.out.getvalue()

    operated.typed = "2014-08-16"
    assert "nothing was stopped" in str(operated.abort(stop=True))
    assert operated.fake_night.jobs.stopped == []

    operated.typed = "2014-08-15"
    stopped = operated.abort(stop=True)
    assert (stopped.exit_code, len(operated.fake_night.jobs.stopped)) == (11, 2)
    assert "no job of it is running on any host" in str(stopped)
    assert operated.events[-1].data["code"] == 11
    # What was stopped is run anew by whoever goes on, under another name.
    assert operated.outcome("vacuum.full", "db-shard-2") is Outcome.FAILED
    operated.resume()
    assert operated.fake_night.production.acts.count(f"db-shard-2: {VACUUM['db-shard-2']}") == 1


def test_a_job_that_cannot_be_stopped_is_named_as_unknown(operated: OperatedNight) -> None:
    lose(operated, "db-shard-2", "db-master")
    operated.fake_night.jobs.stubborn.add("db-master")
    left = operated.abort(stop=True)

    assert left.exit_code is ExitCode.UNKNOWN
    assert "still running on db-master" in str(left)
    assert "db-shard-2" not in str(left)
    assert operated.outcome("vacuum.full", "db-master") is Outcome.UNKNOWN


def test_a_host_that_cannot_be_asked_is_named(operated: OperatedNight, monkeypatch: pytest.MonkeyPatch) -> None:
    lose(operated, "db-shard-2")
    monkeypatch.setattr(operated.fake_night.jobs, "look", lambda host, name: unreachable())
    operated.abort()
    assert (
        f"state unknown on db-shard-2: {VACUUM['db-shard-2']} (Connecting failed: no route to host.)"
        in operated.out.getvalue()
    )
    with pytest.raises(UnknownError, match="These jobs must end first"):
        operated.pay()


@pytest.mark.parametrize("what", ["pay", "stop", "approve"])
def test_without_an_operator_nothing_is_abandoned_stopped_or_approved(operated: OperatedNight, what: str) -> None:
    operated.run_until("watcher: system-watcher stop", ProbeOutput)
    cast = replace(operated.terminal, person=NoOperator())
    environment, plan = operated.environment, operated.fake_night.plan
    with pytest.raises(UsageError) as refused:
        if what == "pay":
            abandon.back_out(environment, plan, cast, back_out_steps(environment, NIGHT))
        elif what == "stop":
            abandon.abort(environment, plan, cast, stop=True)
        else:
            approve.approve(environment, plan, cast)
    assert refused.value.exit_code == 2
