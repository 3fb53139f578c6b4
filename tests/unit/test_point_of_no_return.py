"""The point of no return: what lets step 8 begin, what keeps it from it, and that nothing offers to go back after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from errors import AbortedError, CutoverError, RefusedError, UnknownError, UsageError
from runbooks.engine.live.approval import PAUSE, Request, put_approval, requested
from runbooks.engine.model.actions import Reading
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.ports import Choice
from runbooks.engine.run.runner import Runner, StepFailed
from tests.fakes import FakeClock, FakeShelf, Production, Theatre, night_plan, rehearsal, unreachable
from tests.operated_night import open_house

PAY = "inv cutover.pay --date=2014-08-15 --env=rehearsal"


@pytest.fixture
def theatre() -> Theatre:
    return Theatre()


def test_what_is_typed_for_is_said_first_and_kept(theatre: Theatre) -> None:
    theatre.run()

    [answer] = [event for event in theatre.journal.events if event.data.get("confirmed")]
    assert answer.step == "archiving.run"
    assert answer.data["statements"] == [
        "Every school of 2013-14, depth all (everything of a school is deleted); left out: schools 21.",
        "maintenance mode on: 1 of 1",
        "backups verified: 5 of 5",
        "backups transferred: 5 of 5",
        "unknown: none; failed: none",
        "Switched off now: maintenance mode · System Watcher · ETL · auto-backup ×5 · standby ×5.",  # noqa: RUF001
    ]


def test_a_step_that_was_skipped_is_named_where_the_date_is_typed(theatre: Theatre) -> None:
    theatre.person.script["perform replicas.terminate db-shard-2"] = [Choice.SKIP]
    theatre.run()

    [answer] = [event for event in theatre.journal.events if event.data.get("confirmed")]
    assert "skipped: Terminate slaves on db-shard-2" in answer.data["statements"]


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda world: world.stored.discard("db-shard-3"),
            "Transfer DB backup is not proven any more:\n  - db-shard-3",
        ),
        (lambda world: world.backup.clear(), "DB backup is not proven any more:\n  - db-master: there is no backup"),
        (lambda world: world.do("control", "ttmscalr maintenance:off"), "maintenance mode on is not proven any more:"),
    ],
    ids=["a stored copy", "every backup", "maintenance mode"],
)
def test_what_has_gone_since_its_step_stops_the_night_before_the_prompt(
    theatre: Theatre, spoil: Callable[[Production], object], said: str
) -> None:
    def gone_by_then(key: str) -> None:
        if key == "archiving.run":
            spoil(theatre.production)

    theatre.screen.at_step = gone_by_then
    with pytest.raises(RefusedError, match=said):
        theatre.run()

    assert not [question for question in theatre.person.asked if question.startswith("confirm")]
    assert not theatre.production.archived


def test_a_backup_that_can_not_be_seen_any_more_stops_the_night_as_unknown(theatre: Theatre) -> None:
    def out_of_sight(key: str) -> None:
        if key == "archiving.run":
            theatre.production.broken["db-shard-1: backup status"] = unreachable

    theatre.screen.at_step = out_of_sight
    with pytest.raises(UnknownError, match="db-shard-1: could not tell: Connecting failed"):
        theatre.run()
    assert not theatre.production.archived


def test_a_resumed_night_looks_again_although_the_date_was_typed(theatre: Theatre) -> None:
    theatre.production.broken["debug: inv archive.all --env=rehearsal --date=2014-08-15 --here"] = Reading
    with pytest.raises(StepFailed):
        theatre.run()
    theatre.production.broken.clear()
    theatre.production.maintenance = False
    with pytest.raises(RefusedError, match="Apangea maintenance mode on is not proven any more"):
        theatre.run()

    theatre.production.maintenance = True
    theatre.run()
    assert theatre.person.asked.count("confirm archiving.run 2014-08-15") == 1


def test_an_unknown_outcome_before_it_is_named_with_its_host(theatre: Theatre) -> None:
    theatre.person.script["perform backups.transfer db-shard-4"] = [Choice.ABORT]
    with pytest.raises(AbortedError):
        theatre.run()
    with pytest.raises(UsageError, match=r"not done: backups\.transfer \(db-shard-4 running\), replicas\.terminate"):
        Runner(theatre.stage).run_alone(theatre.plan.step("archiving.run"))


@pytest.mark.parametrize("step", ["backups.transfer", "snapshots.create"])
def test_going_back_is_offered_before_it_and_never_after(theatre: Theatre, step: str) -> None:
    theatre.person.script[f"perform {step} db-shard-1"] = [Choice.ABORT]
    with pytest.raises(AbortedError) as aborted:
        theatre.run()

    assert theatre.plan.go_on in aborted.value.hint
    assert (PAY in aborted.value.hint) == (step == "backups.transfer")


def two_people() -> Theatre:
    """A night on which the inventory asks for a second person."""
    return Theatre(plan=night_plan(replace(rehearsal(), second_person=True)))


def test_with_a_second_person_step_8_waits_until_somebody_else_has_approved() -> None:
    theatre = two_people()
    waited: list[timedelta] = []

    def colleagues(pause: timedelta) -> None:
        FakeClock.wait(theatre.clock, pause)
        if pause == PAUSE:
            waited.append(pause)
            assert not theatre.production.archived
            request = requested(theatre.journal.events)
            assert request
            theatre.shelf.put_new(f"approvals/{request.run}/tester", '{"operator": "tester@elsewhere"}')
            if len(waited) == 3:
                put_approval(theatre.shelf, request, "kim@desk")

    theatre.clock.wait = colleagues  # type: ignore[method-assign]
    theatre.run()

    assert len(waited) == 3
    assert theatre.stage.history().approved == {"archiving.run": "kim@desk"}
    assert requested(theatre.journal.events) is None
    said = "! Waiting for a second person, not tester@here: inv cutover.approve --date=2014-08-15 --env=rehearsal"
    assert said in theatre.screen.lines


def test_who_typed_the_date_does_not_approve_it_from_any_machine() -> None:
    request = Request(
        run="r", step="archiving.run", typist="chris@laptop", at=FakeClock().now(), statements=("backups: 5 of 5",)
    )
    shelf = FakeShelf()
    with pytest.raises(RefusedError, match=r"chris@laptop typed the date at 21:00:00 UTC, so somebody else"):
        put_approval(shelf, request, "chris@desk")
    assert shelf.texts == {}


def closed_while_waiting(clock: FakeClock, pause: timedelta) -> None:
    """A clock whose terminal is closed as soon as it waits for an approval."""
    FakeClock.wait(clock, pause)
    if pause == PAUSE:
        raise CutoverError("The terminal was closed.")


def test_a_night_that_waited_is_resumed_without_typing_and_waits_again() -> None:
    theatre = two_people()

    theatre.clock.wait = partial(closed_while_waiting, theatre.clock)  # type: ignore[method-assign]
    with pytest.raises(CutoverError, match="closed"):
        theatre.run()
    assert not theatre.stage.committed
    request = requested(theatre.journal.events)
    assert request
    assert "backups verified: 5 of 5" in request.statements

    put_approval(theatre.shelf, request, "kim@desk")
    theatre.run()
    assert theatre.person.asked.count("confirm archiving.run 2014-08-15") == 1
    assert theatre.journal.events[-1].kind is Kind.ENDED


@pytest.mark.parametrize("state", ["deleting", "restoring"])
def test_maintenance_mode_stays_on_while_a_school_stands_half_way(theatre: Theatre, state: str) -> None:
    theatre.screen.at_step = lambda key: (
        theatre.production.half_way.update({13: state}) if key == "maintenance.off" else None
    )
    with pytest.raises(StepFailed, match=rf"not begun: these schools stand half-way: 13 \({state}\)"):
        theatre.run()
    assert theatre.production.maintenance

    theatre.screen.at_step = lambda key: None
    theatre.production.half_way.clear()
    theatre.run()
    assert not theatre.production.maintenance


def test_a_colleague_approves_from_another_terminal_and_who_typed_the_date_can_not(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    house = open_house(monkeypatch, tmp_path, second_person=True)
    with pytest.raises(UsageError, match="waits for nobody's approval"):
        house.approve()
    clock = house.theatre.clock
    clock.wait = partial(closed_while_waiting, clock)  # type: ignore[method-assign]
    with pytest.raises(CutoverError, match="closed"):
        house.run()

    with pytest.raises(RefusedError, match=r"chris@.* typed the date at .* so somebody else must approve"):
        house.approve()
    monkeypatch.setenv("CUTOVER_OPERATOR", "kim")
    house.approve()
    monkeypatch.setenv("CUTOVER_OPERATOR", "chris")
    house.resume()
    assert read_history(house.events).approved["archiving.run"].startswith("kim@")
