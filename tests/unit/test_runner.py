"""The whole night over in-memory ports: done, failed, stopped, resumed, killed; nothing is done twice."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from errors import AbortedError, CutoverError, ExitCode, RefusedError, UnknownError, UsageError
from inventory.platforms import Aws
from rehearsal.waiting import await_condition
from runbooks.cutover import SIXTEEN
from runbooks.engine.live.executors import JobLost
from runbooks.engine.live.operators import NoOperator
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.debts import DebtLeft, owed
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.ports import Choice
from runbooks.engine.run.runner import Runner, StepFailed
from runbooks.engine.run.watching import InvariantBroken
from tests.conftest import Counted
from tests.fakes import (
    SERVERS,
    VACUUM,
    FakeNight,
    FakeScreen,
    Killed,
    archive_command,
    night_plan,
    rehearsal,
    unreachable,
)


@pytest.fixture
def fake_night() -> FakeNight:
    return FakeNight()


def test_the_night_is_done_in_order_and_nothing_is_owed(fake_night: FakeNight) -> None:
    began = time.process_time()
    fake_night.run()

    assert time.process_time() - began < 1.0
    assert fake_night.screen.begun == [step.key for step in fake_night.plan.steps]
    assert set(fake_night.outcomes().values()) == {"done"}
    assert len(fake_night.outcomes()) == 9 * 1 + 8 * 5
    assert owed(fake_night.journal.events) == ()
    assert fake_night.journal.events[-1].kind is Kind.ENDED
    assert not fake_night.production.maintenance
    assert fake_night.production.etl == {"warehouse-old": False, "warehouse-new": True}


def test_every_act_has_its_intent_before_and_its_result_after(fake_night: FakeNight) -> None:
    fake_night.run()

    open_intents: set[tuple[str, str]] = set()
    for event in fake_night.journal.events:
        if event.kind is Kind.INTENT:
            open_intents.add((event.step, event.host))
        if event.kind is Kind.RESULT:
            open_intents.remove((event.step, event.host))
    assert open_intents == set()


def test_an_effect_that_already_holds_is_not_done_again(fake_night: FakeNight) -> None:
    fake_night.production.schedule["db-shard-2"] = False
    fake_night.run()

    assert "db-shard-2: auto-backup off" not in fake_night.production.acts
    assert "perform backups.disable db-shard-2" not in fake_night.person.asked
    proof = fake_night.context.history().task_state("backups.disable", "db-shard-2").proof
    assert proof == "already so: auto-backup is disabled"


def test_hosts_that_a_person_did_in_one_go_are_not_asked_for_again(fake_night: FakeNight) -> None:
    def all_at_once() -> ProbeOutput:
        fake_night.production.schedule.update(dict.fromkeys(SERVERS, False))
        fake_night.clock.wait(timedelta(minutes=5))
        return ProbeOutput()

    fake_night.production.broken["db-master: auto-backup off"] = all_at_once
    fake_night.run()

    asked = [question for question in fake_night.person.asked if "backups.disable" in question]
    assert asked == ["perform backups.disable db-master"]


def test_a_failing_check_stops_the_night_at_that_step_and_names_the_host(fake_night: FakeNight) -> None:
    fake_night.production.broken["db-shard-3: auto-backup off"] = ProbeOutput
    with pytest.raises(StepFailed) as stopped:
        fake_night.run()

    assert "Step 4 of 16, Disable auto-backup, failed" in str(stopped.value)
    assert "db-shard-3: failed: auto-backup is enabled, expected disabled" in str(stopped.value)
    assert stopped.value.exit_code is ExitCode.FAILED
    assert fake_night.screen.begun[-1] == "backups.disable"
    assert "backups.dump db-master" not in fake_night.outcomes()
    assert fake_night.journal.events[-1].kind is Kind.STOPPED


@pytest.mark.parametrize("key", [step.key for step in FakeNight().plan.steps])
def test_etl_on_two_warehouses_stops_the_night_at_any_step(fake_night: FakeNight, key: str) -> None:
    def spoil(begun: str) -> None:
        if begun == key:
            fake_night.production.etl.update({"warehouse-old": True, "warehouse-new": True})

    fake_night.screen.at_step = spoil
    with pytest.raises(InvariantBroken, match="warehouse-old and warehouse-new"):
        fake_night.run()

    assert fake_night.screen.begun[-1] == key
    assert not [name for name in fake_night.outcomes() if name.startswith(key)]


@pytest.mark.parametrize("key", [step.key for step in FakeNight().plan.steps][1:])
def test_a_night_killed_at_a_steps_boundary_is_resumed_without_doing_anything_twice(
    fake_night: FakeNight, key: str
) -> None:
    def kill(begun: str) -> None:
        if begun == key:
            raise Killed

    fake_night.screen.at_step = kill
    with pytest.raises(Killed):
        fake_night.run()
    fake_night.screen = FakeScreen()
    fake_night.run()

    assert fake_night.screen.begun[0] == key
    assert set(fake_night.outcomes().values()) == {"done"}
    assert max(Counter(fake_night.production.acts).values()) == 1
    assert owed(fake_night.journal.events) == ()


@pytest.mark.parametrize("keeps_last", [True, False], ids=["after", "before"])
def test_a_night_killed_at_any_event_ends_done_when_resumed(keeps_last: bool, counted: Counted) -> None:
    whole = FakeNight()
    whole.run()
    # The servers between the first and the last are killed in `make torture`, at each of their events.
    numbers = [event.number for event in whole.journal.events if event.host not in list(SERVERS)[1:-1]]
    for number in numbers:
        fake_night = FakeNight(plan=whole.plan)
        fake_night.journal = fake_night.journal.next_life(fake_night.clock, dies_at=number, keeps_last=keeps_last)
        with pytest.raises(Killed):
            fake_night.run()
        fake_night.journal = fake_night.journal.next_life(fake_night.clock)
        # An interrupted short command is unknown; asked, the operator has it run again.
        for key, host in (
            ("maintenance.on", "control"),
            ("maintenance.off", "control"),
            ("warehouse.stop-etl", "control"),
        ):
            fake_night.person.script[f"choose {key} {host}"] = [Choice.RETRY]
        fake_night.run()

        assert set(fake_night.outcomes().values()) == {"done"}, number
        assert max(Counter(fake_night.production.acts).values()) == 1, number
        assert owed(fake_night.journal.events) == (), number
    counted("kills of a night in memory", len(numbers))


@pytest.mark.parametrize("keeps_last", [True, False], ids=["after", "before"])
def test_a_resumed_night_does_not_repeat_requests_to_amazon(keeps_last: bool) -> None:
    instances = {host: f"i-{number}" for number, host in enumerate(SERVERS)}
    whole = FakeNight(plan=night_plan(replace(rehearsal(), aws=Aws(instances=instances, zone="Z1"))))
    whole.run()
    asked = [event.number for event in whole.journal.events if event.step in ("snapshots.create", "warehouse.cut-over")]
    for number in asked:
        fake_night = FakeNight(plan=whole.plan)
        fake_night.journal = fake_night.journal.next_life(fake_night.clock, dies_at=number, keeps_last=keeps_last)
        with pytest.raises(Killed):
            fake_night.run()
        fake_night.journal = fake_night.journal.next_life(fake_night.clock)

        fake_night.run()

        assert set(fake_night.outcomes().values()) == {"done"}, number
        assert max(Counter(fake_night.production.acts).values()) == 1, number
        assert not [asked for asked in fake_night.person.asked if "choose" in asked], number
    assert len(asked) == 12  # an intent and a result on each of five servers, and of the names


def test_a_lost_answer_is_unknown_and_settled_by_a_probe(fake_night: FakeNight) -> None:
    def lost() -> ProbeOutput:
        fake_night.production.maintenance = True
        raise UnknownError("The connection was lost.")

    fake_night.production.broken["control: ttmscalr maintenance:on -f rehearsal"] = lost
    fake_night.run()

    proof = fake_night.context.history().task_state("maintenance.on", "control").proof
    assert proof == "503 Service Unavailable at http://app.rehearsal/ (although The connection was lost.)"


def test_an_unsettled_unknown_outcome_stops_the_night(fake_night: FakeNight) -> None:
    def lost() -> ProbeOutput:
        raise UnknownError("The connection was lost.")

    command = "control: ttmscalr maintenance:on -f rehearsal"
    fake_night.production.broken[command] = lost
    with pytest.raises(UnknownError, match="has an unknown outcome") as stopped:
        fake_night.run()
    assert stopped.value.exit_code is ExitCode.UNKNOWN

    # Resumed, it is not run again unasked.
    del fake_night.production.broken[command]
    with pytest.raises(UnknownError):
        fake_night.run()
    assert fake_night.production.acts == []
    fake_night.person.script["choose maintenance.on control"] = [Choice.RETRY]
    fake_night.run()
    assert fake_night.outcomes()["maintenance.on control"] == "done"


def test_only_the_failed_host_runs_again(fake_night: FakeNight) -> None:
    command = f"db-shard-4: {VACUUM['db-shard-4']}"
    fake_night.production.broken[command] = lambda: ProbeOutput(code=1, error="no space left")
    with pytest.raises(StepFailed, match=r"db-shard-4: failed: .* exited 1: no space left"):
        fake_night.run()
    del fake_night.production.broken[command]
    fake_night.run()

    vacuums = [act for act in fake_night.production.acts if "databases.vacuum" in act]
    assert sorted(vacuums) == sorted(f"{host}: {command}" for host, command in VACUUM.items())


def test_a_host_that_cannot_be_reached_fails_and_the_others_are_done(fake_night: FakeNight) -> None:
    fake_night.production.broken[f"db-master: {VACUUM['db-master']}"] = unreachable
    with pytest.raises(StepFailed, match="db-master: failed: Connecting failed"):
        fake_night.run()
    done = [host for host in SERVERS if fake_night.outcomes()[f"vacuum.full {host}"] == "done"]
    assert done == list(SERVERS)[1:]


def test_a_host_that_hangs_does_not_delay_the_others(fake_night: FakeNight) -> None:
    def sisters_done() -> bool:
        return [fake_night.outcomes().get(f"vacuum.full {host}") for host in SERVERS].count("done") == len(SERVERS) - 1

    def hang() -> ProbeOutput:
        await_condition(sisters_done, doing="Waiting for the sisters", seconds=20)
        raise UnknownError("There was no news.")

    fake_night.production.broken[f"db-master: {VACUUM['db-master']}"] = hang
    with pytest.raises(UnknownError, match="db-master: unknown: There was no news"):
        fake_night.run()


def test_bytes_before_are_read_once_and_shown_with_those_after(fake_night: FakeNight) -> None:
    fake_night.run()

    outputs = [(event.step, event.host) for event in fake_night.journal.events if event.kind is Kind.READING]
    steps = ("replicas.terminate", "vacuum.full")
    assert sorted(outputs) == sorted((step, server) for step in steps for server in SERVERS)
    assert fake_night.context.history().task_state("vacuum.full", "db-master").proof == "812 MB → 96 MB, 1 tables"


def test_retry_by_hand_and_skip_are_the_operators_choice(fake_night: FakeNight) -> None:
    fake_night.production.broken["watcher: system-watcher stop"] = ProbeOutput
    fake_night.person.script["choose watcher.stop watcher"] = [Choice.RETRY, Choice.BY_HAND, Choice.SKIP]
    fake_night.run()

    assert fake_night.outcomes()["watcher.stop watcher"] == "skipped"
    answers = [
        event.data["answer"]
        for event in fake_night.journal.events
        if event.step == "watcher.stop" and "answer" in event.data
    ]
    assert answers == ["done", "retry", "by hand", "done", "skip"]
    result = [
        event for event in fake_night.journal.events if event.kind is Kind.RESULT and event.step == "watcher.stop"
    ][-1]
    assert result.operator == "tester@here"
    assert result.data["proof"] == "skipped: the test says so"


def test_a_required_step_is_not_skipped(fake_night: FakeNight) -> None:
    fake_night.person.script["perform backups.dump db-master"] = [Choice.SKIP]
    with pytest.raises(RefusedError, match="required"):
        fake_night.run()


def test_aborting_stops_with_what_is_owed(fake_night: FakeNight) -> None:
    fake_night.person.script["perform backups.disable db-shard-1"] = [Choice.ABORT]
    with pytest.raises(AbortedError, match="step 4, Disable auto-backup, at db-shard-1"):
        fake_night.run()
    assert [str(debt) for debt in owed(fake_night.journal.events)] == [
        "maintenance mode (the app)",
        "System Watcher (watcher)",
        "ETL (the warehouse)",
        "auto-backup (db-master)",
        "auto-backup (db-shard-1)",
    ]


def test_the_point_of_no_return_requires_the_typed_date(fake_night: FakeNight) -> None:
    fake_night.person.confirms = False
    with pytest.raises(AbortedError, match="before Run archiving script"):
        fake_night.run()

    assert "confirm archiving.run 2014-08-15" in fake_night.person.asked
    assert not fake_night.production.archived


def test_archiving_alone_is_refused_while_the_steps_before_it_are_not_done(fake_night: FakeNight) -> None:
    fake_night.context.begin()
    with pytest.raises(UsageError, match=r"not done: maintenance\.on, watcher\.stop"):
        Runner(fake_night.context).run_alone(fake_night.plan.step("archiving.run"))
    assert not fake_night.production.archived


@pytest.mark.parametrize("key", [build.key for build in SIXTEEN])
def test_a_step_alone_is_done_or_refused_before_it_acts(fake_night: FakeNight, key: str) -> None:
    """A step that an earlier one must prove, such as a backup by maintenance mode, does not run for hours first."""
    fake_night.context.begin()
    try:
        Runner(fake_night.context).run_alone(fake_night.plan.step(key))
    except CutoverError as error:
        assert not [event for event in fake_night.journal.events if event.kind is Kind.INTENT], error


def test_a_step_alone_is_done_and_the_night_goes_on_after_it(fake_night: FakeNight) -> None:
    fake_night.context.begin()
    Runner(fake_night.context).run_alone(fake_night.plan.step("watcher.stop"))
    fake_night.run()
    assert fake_night.production.acts.count("watcher: system-watcher stop") == 1
    assert set(fake_night.outcomes().values()) == {"done"}


def test_a_night_does_not_end_as_done_while_something_is_owed(fake_night: FakeNight) -> None:
    fake_night.person.script["perform watcher.start watcher"] = [Choice.SKIP]
    with pytest.raises(DebtLeft, match="System Watcher") as left:
        fake_night.run()
    assert left.value.exit_code is ExitCode.DEBT

    # Paid by the step alone, the night can end.
    Runner(fake_night.context).run_alone(fake_night.plan.step("watcher.start"))
    fake_night.run()
    assert fake_night.journal.events[-1].kind is Kind.ENDED


def test_a_job_that_was_begun_is_attached_to_and_a_failed_one_is_started_again(fake_night: FakeNight) -> None:
    command = f"debug: {archive_command()}"
    fake_night.production.broken[command] = lambda: ProbeOutput(code=10, error="school 7 failed")
    with pytest.raises(StepFailed):
        fake_night.run()
    del fake_night.production.broken[command]
    fake_night.run()
    run = fake_night.context.history().run
    begun = [name for name in fake_night.jobs.ended if "archiving" in name]
    assert begun == [f"{run}.archiving.run.debug.{attempt}" for attempt in (1, 2)]


def test_a_job_that_cannot_be_attached_to_stays_unknown_and_is_not_started_again(fake_night: FakeNight) -> None:
    def lost() -> ProbeOutput:
        raise UnknownError("There was no news.")

    command = f"db-master: {VACUUM['db-master']}"
    for trouble in (lost, unreachable, unreachable):
        fake_night.production.broken[command] = trouble
        with pytest.raises(UnknownError, match=r"db-master: unknown: (There was no news|Connecting failed)"):
            fake_night.run()
    del fake_night.production.broken[command]
    fake_night.run()
    begun = [name for name in fake_night.jobs.ended if "db-master" in name]
    assert begun == [f"{fake_night.context.history().run}.vacuum.full.db-master.1"]
    assert fake_night.outcomes()["vacuum.full db-master"] == "done"


def test_a_job_that_vanished_is_not_started_again_unasked(fake_night: FakeNight) -> None:
    def vanished() -> ProbeOutput:
        raise JobLost("The job is gone and left no exit status.")

    command = f"db-master: {VACUUM['db-master']}"
    fake_night.production.broken[command] = vanished
    with pytest.raises(UnknownError, match="db-master: unknown: The job is gone"):
        fake_night.run()
    del fake_night.production.broken[command]
    with pytest.raises(UnknownError):
        fake_night.run()
    assert command not in fake_night.production.acts

    fake_night.person.script["choose vacuum.full db-master"] = [Choice.RETRY]
    fake_night.run()
    assert fake_night.production.acts.count(command) == 1
    assert f"{fake_night.context.history().run}.vacuum.full.db-master.2" in fake_night.jobs.ended


@pytest.mark.parametrize("agreed", [True, False])
def test_a_changed_plan_is_shown_and_resumed_only_with_an_operators_agreement(
    fake_night: FakeNight, agreed: bool
) -> None:
    fake_night.context.begin()
    environment = rehearsal()
    fake_night.plan = night_plan(
        replace(environment, commands={**environment.commands, "watcher.stop": "pkill watcher"})
    )
    fake_night.person.confirms = agreed
    if not agreed:
        with pytest.raises(AbortedError, match="the plan has changed"):
            fake_night.context.adopt_plan()
    else:
        fake_night.context.adopt_plan()
        fake_night.context.adopt_plan()

    [question] = [asked for asked in fake_night.person.asked if "Go on with the changed plan" in asked]
    assert "- watcher: Stop System Watcher.\n$ system-watcher stop" in question
    assert "+ watcher: on watcher: pkill watcher" in question
    assert [event.kind for event in fake_night.journal.events[1:]] == [Kind.RESUMED] * (2 if agreed else 0)


def test_without_an_operator_the_answer_is_abort_and_never_yes(fake_night: FakeNight) -> None:
    step = fake_night.plan.step("archiving.run")
    no_operator = NoOperator()
    assert not no_operator.confirm(step, (), "2014-08-15")
    assert no_operator.perform(step, step.tasks[0], "") is Choice.ABORT
    assert (
        no_operator.choose(step, step.tasks[0], fake_night.context.task_state(step, step.tasks[0]).outcome, "") is None
    )
