"""The whole night over in-memory ports: done, failed, stopped, resumed, killed; nothing is done twice."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from errors import AbortedError, ExitCode, RefusedError, UnknownError, UsageError
from inventory.platforms import Aws
from rehearsal.waiting import await_condition
from runbooks.engine.live.executors import JobLost
from runbooks.engine.live.operators import Nobody
from runbooks.engine.model.actions import Reading
from runbooks.engine.model.debts import DebtLeft, owed
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.ports import Choice
from runbooks.engine.run.runner import InvariantBroken, Runner, StepFailed
from tests.conftest import Counted
from tests.fakes import SERVERS, VACUUM, FakeScreen, Killed, Theatre, night_plan, rehearsal, unreachable


@pytest.fixture
def theatre() -> Theatre:
    return Theatre()


def test_the_night_is_done_in_order_and_nothing_is_owed(theatre: Theatre) -> None:
    began = time.perf_counter()
    theatre.run()

    assert time.perf_counter() - began < 1.0
    assert theatre.screen.begun == [step.key for step in theatre.plan.steps]
    assert set(theatre.outcomes().values()) == {"done"}
    assert len(theatre.outcomes()) == 8 * 1 + 8 * 5
    assert owed(theatre.journal.events) == ()
    assert theatre.journal.events[-1].kind is Kind.ENDED
    assert not theatre.production.maintenance
    assert theatre.production.etl == {"warehouse-old": False, "warehouse-new": True}


def test_every_act_has_its_intent_before_and_its_result_after(theatre: Theatre) -> None:
    theatre.run()

    open_intents: set[tuple[str, str]] = set()
    for event in theatre.journal.events:
        if event.kind is Kind.INTENT:
            open_intents.add((event.step, event.host))
        if event.kind is Kind.RESULT:
            open_intents.remove((event.step, event.host))
    assert open_intents == set()


def test_what_is_so_already_is_not_done_again(theatre: Theatre) -> None:
    theatre.production.schedule["db-shard-2"] = False
    theatre.run()

    assert "db-shard-2: auto-backup off" not in theatre.production.acts
    assert "perform backups.disable db-shard-2" not in theatre.person.asked
    proof = theatre.stage.history().past("backups.disable", "db-shard-2").proof
    assert proof == "already so: auto-backup is disabled"


def test_hosts_that_a_person_did_in_one_go_are_not_asked_for_again(theatre: Theatre) -> None:
    def all_at_once() -> Reading:
        theatre.production.schedule.update(dict.fromkeys(SERVERS, False))
        theatre.clock.wait(timedelta(minutes=5))
        return Reading()

    theatre.production.broken["db-master: auto-backup off"] = all_at_once
    theatre.run()

    asked = [question for question in theatre.person.asked if "backups.disable" in question]
    assert asked == ["perform backups.disable db-master"]


def test_a_failing_check_stops_the_night_at_that_step_and_names_the_host(theatre: Theatre) -> None:
    theatre.production.broken["db-shard-3: auto-backup off"] = Reading
    with pytest.raises(StepFailed) as stopped:
        theatre.run()

    assert "Step 4 of 16, Disable auto-backup, failed" in str(stopped.value)
    assert "db-shard-3: failed: auto-backup is enabled, expected disabled" in str(stopped.value)
    assert stopped.value.exit_code is ExitCode.FAILED
    assert theatre.screen.begun[-1] == "backups.disable"
    assert "backups.dump db-master" not in theatre.outcomes()
    assert theatre.journal.events[-1].kind is Kind.STOPPED


@pytest.mark.parametrize("key", [step.key for step in Theatre().plan.steps])
def test_etl_on_two_warehouses_stops_the_night_at_any_step(theatre: Theatre, key: str) -> None:
    def spoil(begun: str) -> None:
        if begun == key:
            theatre.production.etl.update({"warehouse-old": True, "warehouse-new": True})

    theatre.screen.at_step = spoil
    with pytest.raises(InvariantBroken, match="warehouse-old and warehouse-new"):
        theatre.run()

    assert theatre.screen.begun[-1] == key
    assert not [name for name in theatre.outcomes() if name.startswith(key)]


@pytest.mark.parametrize("key", [step.key for step in Theatre().plan.steps][1:])
def test_a_night_killed_at_a_steps_boundary_is_resumed_without_doing_anything_twice(theatre: Theatre, key: str) -> None:
    def kill(begun: str) -> None:
        if begun == key:
            raise Killed

    theatre.screen.at_step = kill
    with pytest.raises(Killed):
        theatre.run()
    theatre.screen = FakeScreen()
    theatre.run()

    assert theatre.screen.begun[0] == key
    assert set(theatre.outcomes().values()) == {"done"}
    assert max(Counter(theatre.production.acts).values()) == 1
    assert owed(theatre.journal.events) == ()


@pytest.mark.parametrize("keeps_last", [True, False], ids=["after", "before"])
def test_a_night_killed_at_any_event_ends_done_when_resumed(keeps_last: bool, counted: Counted) -> None:
    whole = Theatre()
    whole.run()
    for number in range(1, len(whole.journal.events) + 1):
        theatre = Theatre(plan=whole.plan)
        theatre.journal = theatre.journal.next_life(theatre.clock, dies_at=number, keeps_last=keeps_last)
        with pytest.raises(Killed):
            theatre.run()
        theatre.journal = theatre.journal.next_life(theatre.clock)
        # Nobody knows whether a short command ran that broke off; asked, the operator has it run again.
        for key, host in (
            ("maintenance.on", "control"),
            ("maintenance.off", "control"),
            ("warehouse.stop-etl", "control"),
        ):
            theatre.person.script[f"choose {key} {host}"] = [Choice.RETRY]
        theatre.run()

        assert set(theatre.outcomes().values()) == {"done"}, number
        assert max(Counter(theatre.production.acts).values()) == 1, number
        assert owed(theatre.journal.events) == (), number
    counted("kills of a night in memory", len(whole.journal.events))


@pytest.mark.parametrize("keeps_last", [True, False], ids=["after", "before"])
def test_what_amazon_was_asked_for_is_not_asked_for_twice_when_resumed(keeps_last: bool) -> None:
    instances = {host: f"i-{number}" for number, host in enumerate(SERVERS)}
    whole = Theatre(plan=night_plan(replace(rehearsal(), aws=Aws(instances=instances, zone="Z1"))))
    whole.run()
    asked = [event.number for event in whole.journal.events if event.step in ("snapshots.create", "warehouse.cut-over")]
    for number in asked:
        theatre = Theatre(plan=whole.plan)
        theatre.journal = theatre.journal.next_life(theatre.clock, dies_at=number, keeps_last=keeps_last)
        with pytest.raises(Killed):
            theatre.run()
        theatre.journal = theatre.journal.next_life(theatre.clock)

        theatre.run()

        assert set(theatre.outcomes().values()) == {"done"}, number
        assert max(Counter(theatre.production.acts).values()) == 1, number
        assert not [asked for asked in theatre.person.asked if "choose" in asked], number
    assert len(asked) == 12  # an intent and a result on each of five servers, and of the names


def test_a_lost_answer_is_unknown_and_settled_by_looking(theatre: Theatre) -> None:
    def lost() -> Reading:
        theatre.production.maintenance = True
        raise UnknownError("The connection was lost.")

    theatre.production.broken["control: ttmscalr maintenance:on -f rehearsal"] = lost
    theatre.run()

    proof = theatre.stage.history().past("maintenance.on", "control").proof
    assert proof == "503 Service Unavailable at http://app.rehearsal/ (although The connection was lost.)"


def test_an_unknown_outcome_that_nobody_settles_stops_the_night(theatre: Theatre) -> None:
    def lost() -> Reading:
        raise UnknownError("The connection was lost.")

    command = "control: ttmscalr maintenance:on -f rehearsal"
    theatre.production.broken[command] = lost
    with pytest.raises(UnknownError, match="has an unknown outcome") as stopped:
        theatre.run()
    assert stopped.value.exit_code is ExitCode.UNKNOWN

    # Resumed, it is not run again unasked.
    del theatre.production.broken[command]
    with pytest.raises(UnknownError):
        theatre.run()
    assert theatre.production.acts == []
    theatre.person.script["choose maintenance.on control"] = [Choice.RETRY]
    theatre.run()
    assert theatre.outcomes()["maintenance.on control"] == "done"


def test_only_the_failed_host_runs_again(theatre: Theatre) -> None:
    command = f"db-shard-4: {VACUUM['db-shard-4']}"
    theatre.production.broken[command] = lambda: Reading(code=1, error="no space left")
    with pytest.raises(StepFailed, match=r"db-shard-4: failed: .* exited 1: no space left"):
        theatre.run()
    del theatre.production.broken[command]
    theatre.run()

    vacuums = [act for act in theatre.production.acts if "databases.vacuum" in act]
    assert sorted(vacuums) == sorted(f"{host}: {command}" for host, command in VACUUM.items())


def test_a_host_that_cannot_be_reached_fails_and_its_sisters_are_done(theatre: Theatre) -> None:
    theatre.production.broken[f"db-master: {VACUUM['db-master']}"] = unreachable
    with pytest.raises(StepFailed, match="db-master: failed: Connecting failed"):
        theatre.run()
    done = [host for host in SERVERS if theatre.outcomes()[f"vacuum.full {host}"] == "done"]
    assert done == list(SERVERS)[1:]


def test_a_host_that_hangs_does_not_hold_up_its_sisters(theatre: Theatre) -> None:
    def sisters_done() -> bool:
        return [theatre.outcomes().get(f"vacuum.full {host}") for host in SERVERS].count("done") == len(SERVERS) - 1

    def hang() -> Reading:
        await_condition(sisters_done, doing="Waiting for the sisters", seconds=20)
        raise UnknownError("There was no news.")

    theatre.production.broken[f"db-master: {VACUUM['db-master']}"] = hang
    with pytest.raises(UnknownError, match="db-master: unknown: There was no news"):
        theatre.run()


def test_bytes_before_are_read_once_and_shown_with_those_after(theatre: Theatre) -> None:
    theatre.run()

    readings = [event.host for event in theatre.journal.events if event.kind is Kind.READING]
    assert sorted(readings) == sorted(SERVERS)
    assert theatre.stage.history().past("vacuum.full", "db-master").proof == "812 MB → 96 MB, 1 tables"


def test_retry_and_by_hand_and_skip_are_the_operators_choice(theatre: Theatre) -> None:
    theatre.production.broken["watcher: system-watcher stop"] = Reading
    theatre.person.script["choose watcher.stop watcher"] = [Choice.RETRY, Choice.BY_HAND, Choice.SKIP]
    theatre.run()

    assert theatre.outcomes()["watcher.stop watcher"] == "skipped"
    answers = [
        event.data["answer"]
        for event in theatre.journal.events
        if event.step == "watcher.stop" and "answer" in event.data
    ]
    assert answers == ["done", "retry", "by hand", "done", "skip"]
    result = [event for event in theatre.journal.events if event.kind is Kind.RESULT and event.step == "watcher.stop"][
        -1
    ]
    assert result.operator == "tester@here"
    assert result.data["proof"] == "skipped: the test says so"


def test_a_required_step_is_not_skipped(theatre: Theatre) -> None:
    theatre.person.script["perform backups.dump db-master"] = [Choice.SKIP]
    with pytest.raises(RefusedError, match="required"):
        theatre.run()


def test_aborting_stops_with_what_is_owed(theatre: Theatre) -> None:
    theatre.person.script["perform backups.disable db-shard-1"] = [Choice.ABORT]
    with pytest.raises(AbortedError, match="step 4, Disable auto-backup, at db-shard-1"):
        theatre.run()
    assert [str(debt) for debt in owed(theatre.journal.events)] == [
        "maintenance mode (the app)",
        "System Watcher (watcher)",
        "ETL (the warehouse)",
        "auto-backup (db-master)",
        "auto-backup (db-shard-1)",
    ]


def test_the_point_of_no_return_wants_the_date(theatre: Theatre) -> None:
    theatre.person.confirms = False
    with pytest.raises(AbortedError, match="before Run archiving script"):
        theatre.run()

    assert "confirm archiving.run 2014-08-15" in theatre.person.asked
    assert not theatre.production.archived


def test_archiving_alone_is_refused_while_the_steps_before_it_are_not_done(theatre: Theatre) -> None:
    theatre.stage.begin()
    with pytest.raises(UsageError, match=r"not done: maintenance\.on, watcher\.stop"):
        Runner(theatre.stage).run_alone(theatre.plan.step("archiving.run"))
    assert not theatre.production.archived


def test_a_step_alone_is_done_and_the_night_goes_on_after_it(theatre: Theatre) -> None:
    theatre.stage.begin()
    Runner(theatre.stage).run_alone(theatre.plan.step("watcher.stop"))
    theatre.run()
    assert theatre.production.acts.count("watcher: system-watcher stop") == 1
    assert set(theatre.outcomes().values()) == {"done"}


def test_a_night_does_not_end_as_done_while_something_is_owed(theatre: Theatre) -> None:
    theatre.person.script["perform watcher.start watcher"] = [Choice.SKIP]
    with pytest.raises(DebtLeft, match="System Watcher") as left:
        theatre.run()
    assert left.value.exit_code is ExitCode.DEBT

    # Paid by the step alone, the night can end.
    Runner(theatre.stage).run_alone(theatre.plan.step("watcher.start"))
    theatre.run()
    assert theatre.journal.events[-1].kind is Kind.ENDED


def test_a_job_that_was_begun_is_attached_to_and_a_failed_one_begun_anew(theatre: Theatre) -> None:
    command = "debug: inv archive.all --env=rehearsal --date=2014-08-15 --here"
    theatre.production.broken[command] = lambda: Reading(code=10, error="school 7 failed")
    with pytest.raises(StepFailed):
        theatre.run()
    del theatre.production.broken[command]
    theatre.run()
    run = theatre.stage.history().run
    begun = [name for name in theatre.jobs.ended if "archiving" in name]
    assert begun == [f"{run}.archiving.run.debug.{attempt}" for attempt in (1, 2)]


def test_a_job_that_cannot_be_attached_to_stays_unknown_and_is_not_begun_anew(theatre: Theatre) -> None:
    def lost() -> Reading:
        raise UnknownError("There was no news.")

    command = f"db-master: {VACUUM['db-master']}"
    for trouble in (lost, unreachable, unreachable):
        theatre.production.broken[command] = trouble
        with pytest.raises(UnknownError, match=r"db-master: unknown: (There was no news|Connecting failed)"):
            theatre.run()
    del theatre.production.broken[command]
    theatre.run()
    begun = [name for name in theatre.jobs.ended if "db-master" in name]
    assert begun == [f"{theatre.stage.history().run}.vacuum.full.db-master.1"]
    assert theatre.outcomes()["vacuum.full db-master"] == "done"


def test_a_job_that_vanished_is_not_begun_anew_unasked(theatre: Theatre) -> None:
    def vanished() -> Reading:
        raise JobLost("The job is gone and left no exit status.")

    command = f"db-master: {VACUUM['db-master']}"
    theatre.production.broken[command] = vanished
    with pytest.raises(UnknownError, match="db-master: unknown: The job is gone"):
        theatre.run()
    del theatre.production.broken[command]
    with pytest.raises(UnknownError):
        theatre.run()
    assert command not in theatre.production.acts

    theatre.person.script["choose vacuum.full db-master"] = [Choice.RETRY]
    theatre.run()
    assert theatre.production.acts.count(command) == 1
    assert f"{theatre.stage.history().run}.vacuum.full.db-master.2" in theatre.jobs.ended


@pytest.mark.parametrize("agreed", [True, False])
def test_a_plan_that_changed_is_shown_and_gone_on_with_only_if_somebody_agrees(theatre: Theatre, agreed: bool) -> None:
    theatre.stage.begin()
    environment = rehearsal()
    theatre.plan = night_plan(replace(environment, commands={**environment.commands, "watcher.stop": "pkill watcher"}))
    theatre.person.confirms = agreed
    if not agreed:
        with pytest.raises(AbortedError, match="the plan has changed"):
            theatre.stage.go_on()
    else:
        theatre.stage.go_on()
        theatre.stage.go_on()

    [question] = [asked for asked in theatre.person.asked if "Go on with the plan" in asked]
    assert "- watcher: Stop System Watcher.\n$ system-watcher stop" in question
    assert "+ watcher: on watcher: pkill watcher" in question
    assert [event.kind for event in theatre.journal.events[1:]] == [Kind.RESUMED] * (2 if agreed else 0)


def test_nobody_answers_with_abort_and_never_with_yes(theatre: Theatre) -> None:
    step = theatre.plan.step("archiving.run")
    nobody = Nobody()
    assert not nobody.confirm(step, (), "2014-08-15")
    assert nobody.perform(step, step.tasks[0], "") is Choice.ABORT
    assert nobody.choose(step, step.tasks[0], theatre.stage.past(step, step.tasks[0]).outcome, "") is None
