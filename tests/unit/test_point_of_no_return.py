"""The point of no return: what step 8 requires, what prevents it, and that nothing offers to go back after it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from errors import AbortedError, CutoverError, RefusedError, UnknownError, UsageError
from inventory import scope
from runbooks.engine.live.approval import PAUSE, Request, put_approval, requested
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.ports import Choice
from runbooks.engine.reporting.figures_text import figure_lines
from runbooks.engine.run.preflight import examine
from runbooks.engine.run.runner import Runner, StepFailed
from runbooks.night.approve import await_outcome
from tests.colleagues import approving, times_typed
from tests.fakes import (
    EVENING,
    FIGURES,
    NIGHT,
    SERVERS,
    FakeClock,
    FakeNight,
    FakeObjectStore,
    Production,
    archive_command,
    inventory_of,
    night_plan,
    rehearsal,
    unreachable,
)
from tests.operated_night import operated_night

PAY = "inv cutover.back-out --date=2014-08-15 --env=rehearsal"


@pytest.fixture
def fake_night() -> FakeNight:
    return FakeNight()


def test_the_prompt_for_the_date_states_its_consequences_first_and_the_journal_keeps_them(
    fake_night: FakeNight,
) -> None:
    fake_night.run()

    [answer] = [event for event in fake_night.journal.events if event.data.get("confirmed")]
    assert answer.step == "archiving.run"
    sealed = fake_night.plan.scope
    assert sealed
    assert answer.data["statements"] == [
        "Every school of 2013-14, depth all (everything of a school is deleted); left out: schools 21.",
        f"Scope {sealed.digest}: catalog {sealed.catalog}, version {sealed.version}.",
        "Archives are not encrypted.",
        f"scope {sealed.digest}: 35 schools taken in, 1 school excluded (21); schools 5c4001ed",
        *figure_lines(FIGURES, fake_night.plan.zone),
        "These figures were not counted when the night began.",
        "The night is done about 22:29, and has no window.",
        "maintenance mode on: 1 of 1",
        "backups verified: 5 of 5",
        "backups transferred: 5 of 5",
        "unknown: none; failed: none",
        "Switched off now: maintenance mode · System Watcher · ETL · auto-backup ×5 · standby ×5.",  # noqa: RUF001
    ]


def test_a_skipped_step_is_named_where_the_date_is_typed(fake_night: FakeNight) -> None:
    fake_night.person.script["perform replicas.terminate db-shard-2"] = [Choice.SKIP]
    fake_night.run()

    [answer] = [event for event in fake_night.journal.events if event.data.get("confirmed")]
    assert "skipped: Terminate slaves on db-shard-2" in answer.data["statements"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda world: world.stored.discard("db-shard-3"),
            "Transfer DB backup is no longer verified:\n  - db-shard-3",
        ),
        (lambda world: world.backup.clear(), "DB backup is no longer verified:\n  - db-master: there is no backup"),
        (lambda world: world.do("control", "ttmscalr maintenance:off"), "maintenance mode on is no longer verified:"),
    ],
    ids=["a stored copy", "every backup", "maintenance mode"],
)
def test_a_proof_lost_since_its_step_stops_the_night_before_the_prompt(
    fake_night: FakeNight, spoil: Callable[[Production], object], said: str
) -> None:
    def gone_by_then(key: str) -> None:
        if key == "archiving.run":
            spoil(fake_night.production)

    fake_night.screen.at_step = gone_by_then
    with pytest.raises(RefusedError, match=said):
        fake_night.run()

    assert not [question for question in fake_night.person.asked if question.startswith("confirm")]
    assert not fake_night.production.archived


def test_a_backup_that_cannot_be_seen_any_more_stops_the_night_as_unknown(fake_night: FakeNight) -> None:
    def out_of_sight(key: str) -> None:
        if key == "archiving.run":
            fake_night.production.broken["db-shard-1: backup status"] = unreachable

    fake_night.screen.at_step = out_of_sight
    with pytest.raises(UnknownError, match="db-shard-1: could not tell: Connecting failed"):
        fake_night.run()
    assert not fake_night.production.archived


def test_a_resumed_night_checks_again_although_the_date_was_typed(fake_night: FakeNight) -> None:
    fake_night.production.broken[f"debug: {archive_command()}"] = ProbeOutput
    with pytest.raises(StepFailed):
        fake_night.run()
    fake_night.production.broken.clear()
    fake_night.production.maintenance = False
    with pytest.raises(RefusedError, match="Apangea maintenance mode on is no longer verified"):
        fake_night.run()

    fake_night.production.maintenance = True
    fake_night.run()
    assert fake_night.person.asked.count("confirm archiving.run 2014-08-15") == 1


def test_an_unknown_outcome_before_it_is_named_with_its_host(fake_night: FakeNight) -> None:
    fake_night.person.script["perform backups.transfer db-shard-4"] = [Choice.ABORT]
    with pytest.raises(AbortedError):
        fake_night.run()
    with pytest.raises(UsageError, match=r"not done: backups\.transfer \(db-shard-4 running\), replicas\.terminate"):
        Runner(fake_night.context).run_alone(fake_night.plan.step("archiving.run"))


@pytest.mark.parametrize("step", ["backups.transfer", "snapshots.create"])
def test_going_back_is_offered_before_it_and_never_after(fake_night: FakeNight, step: str) -> None:
    fake_night.person.script[f"perform {step} db-shard-1"] = [Choice.ABORT]
    with pytest.raises(AbortedError) as aborted:
        fake_night.run()

    assert fake_night.plan.go_on in aborted.value.hint
    assert (PAY in aborted.value.hint) == (step == "backups.transfer")


def two_people() -> FakeNight:
    """A night on which the inventory asks for a second person."""
    return FakeNight(plan=night_plan(replace(rehearsal(), second_person=True)))


def test_with_a_second_person_step_8_waits_until_another_operator_has_approved() -> None:
    fake_night = two_people()
    waited: list[timedelta] = []

    def colleagues(pause: timedelta) -> None:
        FakeClock.wait(fake_night.clock, pause)
        if pause == PAUSE:
            waited.append(pause)
            assert not fake_night.production.archived
            request = requested(fake_night.journal.events)
            assert request
            typists = f"approvals/{request.run}/{request.number}/tester"
            fake_night.object_store.put_new(typists, '{"operator": "tester@elsewhere"}')
            if len(waited) == 3:
                put_approval(fake_night.object_store, request, "kim@desk")

    fake_night.clock.wait = colleagues  # type: ignore[method-assign]
    fake_night.run()

    assert len(waited) == 3
    assert fake_night.context.history().approved["archiving.run"].operator == "kim@desk"
    assert requested(fake_night.journal.events) is None
    said = "! Waiting for a second person, not tester@here: inv cutover.approve --date=2014-08-15 --env=rehearsal"
    assert said in fake_night.screen.lines


def test_the_operator_who_typed_the_date_cannot_approve_it_from_any_machine() -> None:
    request = Request(
        run="r", step="archiving.run", typist="chris@laptop", at=FakeClock().now(), statements=("backups: 5 of 5",)
    )
    object_store = FakeObjectStore()
    with pytest.raises(RefusedError, match=r"chris@laptop typed the date at 21:00:00 UTC, so another person"):
        put_approval(object_store, request, "chris@desk")
    assert object_store.texts == {}


def closed_while_waiting(clock: FakeClock, pause: timedelta) -> None:
    """A clock whose terminal is closed as soon as it waits for an approval."""
    FakeClock.wait(clock, pause)
    if pause == PAUSE:
        raise CutoverError("The terminal was closed.")


def test_a_night_that_waited_is_resumed_without_typing_and_waits_again() -> None:
    fake_night = two_people()

    fake_night.clock.wait = partial(closed_while_waiting, fake_night.clock)  # type: ignore[method-assign]
    with pytest.raises(CutoverError, match="closed"):
        fake_night.run()
    assert not fake_night.context.committed
    request = requested(fake_night.journal.events)
    assert request
    assert "backups verified: 5 of 5" in request.statements

    put_approval(fake_night.object_store, request, "kim@desk")
    fake_night.run()
    assert fake_night.person.asked.count("confirm archiving.run 2014-08-15") == 1
    assert fake_night.journal.events[-1].kind is Kind.ENDED


@pytest.mark.parametrize("state", ["deleting", "restoring"])
def test_maintenance_mode_stays_on_while_a_school_is_half_moved(fake_night: FakeNight, state: str) -> None:
    fake_night.screen.at_step = lambda key: (
        fake_night.production.half_way.update({13: state}) if key == "maintenance.off" else None
    )
    with pytest.raises(
        StepFailed, match=rf"not begun: a deletion or restore is incomplete for these schools: 13 \({state}\)"
    ):
        fake_night.run()
    assert fake_night.production.maintenance

    fake_night.screen.at_step = lambda key: None
    fake_night.production.half_way.clear()
    fake_night.run()
    assert not fake_night.production.maintenance


def test_a_colleague_approves_from_another_terminal_and_the_operator_who_typed_the_date_cannot(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    operated = operated_night(monkeypatch, tmp_path, second_person=True)
    with pytest.raises(UsageError, match="does not wait for an approval"):
        operated.approve()
    clock = operated.fake_night.clock
    clock.wait = partial(closed_while_waiting, clock)  # type: ignore[method-assign]
    with pytest.raises(CutoverError, match="closed"):
        operated.run()

    with pytest.raises(RefusedError, match=r"chris@.* typed the date at .* so another person must approve"):
        operated.approve()
    monkeypatch.setenv("CUTOVER_OPERATOR", "kim")
    operated.approve()
    monkeypatch.setenv("CUTOVER_OPERATOR", "chris")
    operated.resume()
    assert read_history(operated.events).approved["archiving.run"].operator.startswith("kim@")


def stopped_at_step_8(fake_night: FakeNight) -> None:
    """Let the night stop once the date was typed and approved, before anything is archived."""
    fake_night.production.broken[f"debug: {archive_command(RATHER_TWO)}"] = ProbeOutput
    with pytest.raises(StepFailed):
        fake_night.run()
    fake_night.production.broken.clear()
    assert not fake_night.production.archived


RATHER_TWO = replace(rehearsal(), second_person=True)


@pytest.mark.parametrize("field", ["_catalog_digest", "version"])
def test_after_a_change_of_catalog_or_version_both_people_are_asked_again(
    field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_night = FakeNight(plan=night_plan(RATHER_TWO))
    heard = approving(fake_night)
    stopped_at_step_8(fake_night)
    monkeypatch.setattr(scope, field, lambda *_: "another")
    fake_night.plan = night_plan(RATHER_TWO)
    fake_night.run()

    assert (times_typed(fake_night), len(heard)) == (2, 2)


def test_with_the_same_scope_no_one_is_asked_again() -> None:
    fake_night = FakeNight(plan=night_plan(RATHER_TWO))
    heard = approving(fake_night)
    stopped_at_step_8(fake_night)
    fake_night.run()

    assert (times_typed(fake_night), len(heard)) == (1, 1)


def test_a_word_ends_with_the_night_in_which_it_was_given() -> None:
    fake_night = FakeNight(plan=night_plan(RATHER_TWO))
    heard = approving(fake_night)
    stopped_at_step_8(fake_night)
    FakeClock.wait(fake_night.clock, timedelta(hours=25))
    fake_night.production.backup.update(dict.fromkeys(fake_night.production.backup, fake_night.clock.now()))
    fake_night.run()

    assert (times_typed(fake_night), len(heard)) == (2, 2)


def test_a_word_of_a_night_with_a_window_ends_when_the_window_closes() -> None:
    night = replace(RATHER_TWO.nights[NIGHT], ends=time(6))
    plan = night_plan(replace(RATHER_TWO, nights={NIGHT: night}))

    assert plan.word_ends(EVENING) == datetime(2014, 8, 16, 10, tzinfo=UTC)  # 06:00 in New York


def test_a_word_of_a_journal_from_before_there_were_scopes_is_asked_for_again() -> None:
    fake_night = FakeNight(plan=night_plan(RATHER_TWO))
    heard = approving(fake_night)
    stopped_at_step_8(fake_night)
    without = [{**event.data} for event in fake_night.journal.events]
    for data in without:
        data.pop("scope", None)
    fake_night.journal._events[:] = [
        replace(event, data=data) for event, data in zip(fake_night.journal.events, without, strict=True)
    ]
    fake_night.run()

    assert (times_typed(fake_night), len(heard)) == (2, 2)


def test_an_approval_of_the_date_as_it_was_typed_before_is_not_taken() -> None:
    fake_night = FakeNight(plan=night_plan(RATHER_TWO))
    approving(fake_night)
    stopped_at_step_8(fake_night)
    deeper = replace(RATHER_TWO.nights[NIGHT], depth="students")
    fake_night.plan = night_plan(replace(RATHER_TWO, nights={NIGHT: deeper}))
    fake_night.clock.wait = partial(closed_while_waiting, fake_night.clock)  # type: ignore[method-assign]

    with pytest.raises(CutoverError, match="closed"):
        fake_night.run()
    assert not fake_night.production.archived


OUTCOMES: dict[str, tuple[tuple[Kind, dict[str, Any]], str]] = {
    "approved": ((Kind.ANSWER, {"approved": "kim@desk"}), "The run has taken it up: Run archiving script begins."),
    "stopped": ((Kind.STOPPED, {}), "The run has stopped. inv cutover.resume --date=2014-08-15 --env=rehearsal takes"),
    "abandoned": ((Kind.ABANDONED, {}), "It counts no longer: the night is abandoned."),
    "typed again": ((Kind.ANSWER, {"confirmed": True}), "It counts no longer: tester@here has typed the date again."),
    "resumed": ((Kind.RESUMED, {}), "The run has not taken it up yet."),
}


@pytest.mark.parametrize("happens", OUTCOMES)
def test_the_second_person_hears_what_became_of_the_approval(happens: str, fake_night: FakeNight) -> None:
    (kind, data), sentence = OUTCOMES[happens]
    for each, about in ((Kind.STOPPED, {}), (Kind.RESUMED, {}), (kind, data)):  # it had stopped, and waits again
        fake_night.journal.append(each, **about)
    request = Request(run="r", step="archiving.run", typist="chris@laptop", at=EVENING, statements=(), number=0)

    outcome = await_outcome(lambda: fake_night.journal.events, request, fake_night.plan, fake_night.clock)

    assert outcome.startswith(sentence)


def test_another_set_of_schools_in_the_databases_is_another_scope() -> None:
    fake_night = FakeNight(plan=night_plan(RATHER_TWO))
    heard = approving(fake_night)
    stopped_at_step_8(fake_night)
    assert fake_night.production.typed_for == "5c4001ed"
    fake_night.production.schools = {"taken": 34, "excluded": [21, 22], "schools": "0ddba11", "problems": []}
    fake_night.run()

    assert (times_typed(fake_night), len(heard)) == (2, 2)
    assert fake_night.production.typed_for == "0ddba11"


def elsewhere(**fields: str) -> FakeNight:
    """Return a night whose hosts have another checkout of this tool than the run."""
    fake_night = FakeNight(other_checkouts=True)
    assert fake_night.plan.scope
    fake_night.production.scope = replace(fake_night.plan.scope, **fields)
    fake_night.production.inventory = inventory_of(fake_night.plan)
    return fake_night


@pytest.mark.parametrize("field", ["depth", "schools", "customers", "reasons", "catalog", "version"])
def test_before_anyone_types_the_scope_of_the_debug_host_is_compared(field: str) -> None:
    fake_night = elsewhere(**{field: "other"})
    with pytest.raises(RefusedError, match=rf"can't begin: another scope than this machine's: {field}: other there"):
        fake_night.run()

    assert not fake_night.production.archived
    assert not [question for question in fake_night.person.asked if question.startswith("confirm")]


def test_preflight_compares_scope_and_inventory_on_every_host_that_runs_this_tool() -> None:
    fake_night = elsewhere(version="other")
    fake_night.production.inventory["store"] = "other"
    findings = examine(fake_night.plan.preflight, fake_night.executor, fake_night.context.facts)

    assert {finding.subject: finding.verdict.proof.split("version: ")[1] for finding in findings if finding.stops} == {
        host: f"other there, {scope.version()} here; inventory: store" for host in ("debug", *SERVERS)
    }
