"""The checklist of 2013: its steps in their order, a whole night by it, and the choice of a night's checklist."""

from __future__ import annotations

from dataclasses import replace

import pytest
from invoke.context import Context

from errors import ExitCode, UsageError
from inventory.load import load
from runbooks import cutover
from runbooks.cli import call
from runbooks.cutover import back_out_steps, plan_at, plan_of
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.debts import owed
from runbooks.engine.model.journal import Event
from runbooks.engine.reporting.plan_markdown import rendered
from runbooks.engine.run.abandon import abandon_night
from runbooks.engine.run.preflight import examine
from runbooks.engine.run.runner import StepFailed
from runbooks.night import files
from tests.fakes import NIGHT, NIGHT_2013, FakeNight, plan_of_2013, rehearsal
from tests.unit.test_abandon import stopped_before

KEYS = [
    "maintenance.on",
    "backups.dump",
    "retirement.rename",
    "retirement.stop-etl",
    "archiving.run",
    "feeds.truncate",
    "vacuum.full",
    "warehouse.rebuild",
    "app.point",
    "app.restart",
    "retirement.spin-down",
    "maintenance.off",
]


def test_the_twelve_steps_are_in_the_order_of_the_document() -> None:
    plan = plan_of_2013()

    assert [step.key for step in plan.steps] == KEYS
    assert [step.key for step in plan.steps if step.point_of_no_return] == ["archiving.run"]
    assert "Rename the old warehouse to 2012-2013" in rendered(plan)
    assert "DNS" not in {subject.name for subject in plan.preflight}


def test_a_night_goes_through_with_every_step_proven_and_nothing_owed() -> None:
    fake_night = FakeNight(plan=plan_of_2013())

    fake_night.run()

    assert set(fake_night.outcomes().values()) == {"done"}
    assert owed(fake_night.journal.events) == ()
    world = fake_night.production
    assert world.etl == {"warehouse-old": False, "warehouse-new": True}
    assert (world.feed, world.farm["apps:name"], world.farm["size"]) == (0, "warehouse-2012-2013", "small")
    assert (world.maintenance, world.acts[-1]) == (False, "control: ttmscalr maintenance:off -f rehearsal")
    told = "\n".join(event.to_json() for event in fake_night.journal.events)
    assert "warehouse-new.farm.ttm.com" in told
    assert "hunter2" not in told  # of a URL that may hold a password, only the host is told


@pytest.mark.parametrize("key", KEYS[1:])
def test_backing_out_switches_everything_on_wherever_it_stopped(key: str) -> None:
    fake_night = FakeNight(plan=plan_of_2013())
    stopped_before(fake_night, key)
    abandon_night(fake_night.context, back_out_steps(rehearsal(), NIGHT_2013))

    rebuilt = KEYS.index(key) > KEYS.index("warehouse.rebuild")
    assert owed(fake_night.journal.events) == ()
    assert fake_night.production.etl == {"warehouse-old": not rebuilt, "warehouse-new": rebuilt}
    assert not fake_night.production.maintenance


def test_preflight_checks_that_its_proofs_can_be_seen() -> None:
    fake_night = FakeNight(plan=plan_of_2013())
    assert not [
        found
        for found in examine(fake_night.plan.preflight, fake_night.executor, fake_night.context.facts)
        if found.stops
    ]

    fake_night.production.broken["warehouse-old: heroku apps:name"] = lambda: ProbeOutput(code=127, error="not found")
    [problem] = [
        found
        for found in examine(fake_night.plan.preflight, fake_night.executor, fake_night.context.facts)
        if found.stops
    ]

    assert str(problem).startswith(
        "handover: it can be checked whether the old warehouse is called warehouse-2012-2013: "
    )
    assert "Look at handover/probes in the inventory" in str(problem)


def test_the_old_warehouse_is_not_made_small_while_the_app_uses_it() -> None:
    fake_night = FakeNight(plan=plan_of_2013())
    fake_night.screen.at_step = lambda key: fake_night.production.farm.update(
        {"ps:running": "postgres://warehouse-old.farm.ttm.com/w"} if key == "retirement.spin-down" else {}
    )

    with pytest.raises(StepFailed):
        fake_night.run()

    assert fake_night.production.farm["size"] == "large"


def test_feeds_are_not_emptied_while_the_product_is_open() -> None:
    fake_night = FakeNight(plan=plan_of_2013())
    fake_night.screen.at_step = lambda key: setattr(fake_night.production, "maintenance", key != "feeds.truncate")

    with pytest.raises(StepFailed):
        fake_night.run()

    assert fake_night.production.feed == 132


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> tuple[Event, ...]:
    """A night that began by the checklist of 2013, as every machine sees it."""
    fake_night = FakeNight(plan=plan_of_2013())
    fake_night.context.begin()
    monkeypatch.setattr(files, "events_of", lambda environment, date: fake_night.journal.events)
    return fake_night.journal.events


def test_a_night_that_has_begun_knows_its_checklist_and_refuses_another(begun: tuple[Event, ...]) -> None:
    assert plan_at(rehearsal(), NIGHT_2013, "").digest == plan_of_2013().digest
    assert plan_at(rehearsal(), NIGHT_2013, "2013").checklist == "2013"

    with pytest.raises(UsageError) as refused:
        plan_at(rehearsal(), NIGHT_2013, "2014")

    assert str(refused.value) == "The night of 2013-08-16 goes by the checklist of 2013, not of 2014."
    assert "--checklist=2013" in refused.value.hint


def test_a_step_alone_is_of_the_nights_checklist(begun: tuple[Event, ...]) -> None:
    with pytest.raises(UsageError, match=r"The checklist of 2013 has no step watcher\.stop\."):
        cutover.perform_alone("watcher.stop", rehearsal(), NIGHT_2013, "")


def test_a_night_that_has_not_begun_goes_by_2014(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "events_of", lambda environment, date: ())

    assert plan_at(rehearsal(), NIGHT, "").checklist == "2014"
    assert plan_at(rehearsal(), NIGHT_2013, "2013").checklist == "2013"


def test_an_unknown_checklist_and_an_inventory_without_a_handover_are_reported_in_a_sentence() -> None:
    with pytest.raises(UsageError, match=r"--checklist: expected 2014 or 2013, got 2012\.") as unknown:
        plan_of(rehearsal(), NIGHT, "2012")
    with pytest.raises(UsageError, match=r"production: no handover in the inventory") as lacking:
        plan_of(load("production"), NIGHT, "2013")
    assert (unknown.value.exit_code, lacking.value.exit_code) == (ExitCode.USAGE, ExitCode.USAGE)


def test_a_dry_run_shows_all_of_it_and_in_production_the_feeds_are_confirmed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = replace(rehearsal(), environment="real", production=True, overlay=None)
    monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: real)

    cutover.run(Context(), date=str(NIGHT_2013), checklist="2013", dry_run=True)

    shown = capsys.readouterr().out
    for step in plan_of_2013().steps:
        assert f"{step.number:>2}/12 {step.title}" in shown
    assert "inv databases.truncate-feeds --env=real --confirm=real --yes-production" in shown
