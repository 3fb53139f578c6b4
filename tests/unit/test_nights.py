"""`inv cutover.list`: every night of an environment, how it stands, what is left of it, and what falls due."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from runbooks.cutover import back_out_steps
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.debts import TIMES
from runbooks.engine.model.deferral import DeferredWork
from runbooks.engine.model.history import read_history
from runbooks.engine.run.abandon import abandon_night
from runbooks.engine.run.runner import StepFailed
from runbooks.night import files, nights
from runbooks.night.nights import NightState, NightSummary, overview, summary_of
from tests.fakes import NIGHT, VACUUM, FakeNight, FakeObjectStore, rehearsal
from tests.operated_night import operated_night
from tests.unit.test_abandon import stopped_before

LATER = date(2014, 8, 22)
DONE = NightSummary(date=NIGHT, state=NightState.DONE, steps=16, step=16, archived=35, left_out=1)
COMING = NightSummary(date=LATER, state=NightState.NOT_BEGUN)


def lines(summaries: list[NightSummary], today: date) -> list[str]:
    """Return the lines below the table."""
    return [part for part in overview(rehearsal(), summaries, today) if isinstance(part, str)]


def test_a_night_that_is_done_shows_its_schools_and_owes_nothing() -> None:
    fake_night = FakeNight()
    fake_night.run()

    night = summary_of(NIGHT, fake_night.journal.events)

    every = len(fake_night.plan.steps)
    assert (night.state, night.done, night.steps) == (NightState.DONE, every, every)
    assert (night.archived, night.left_out, night.still_off) == (35, 1, "")


def test_a_stopped_night_counts_only_steps_before_the_last_that_began_and_shows_what_is_off() -> None:
    fake_night = FakeNight()
    fake_night.production.broken["db-shard-2: auto-backup off"] = lambda: ProbeOutput(code=1)
    with pytest.raises(StepFailed):
        fake_night.run()

    stopped = summary_of(NIGHT, fake_night.journal.events, at_work=True)
    running = summary_of(NIGHT, fake_night.journal.events[:-1], at_work=True)

    assert (stopped.state, stopped.done) == (NightState.STOPPED, 3)
    assert stopped.still_off == f"maintenance mode · System Watcher · ETL · auto-backup {TIMES}3"
    assert running.state is NightState.RUNNING
    assert summary_of(NIGHT, fake_night.journal.events[:-1]).state is NightState.STOPPED
    assert lines([stopped], NIGHT) == ["Due now: inv cutover.resume --date=2014-08-15 --env=rehearsal"]


def test_an_abandoned_night_is_due_only_while_something_of_it_is_off() -> None:
    fake_night = FakeNight()
    stopped_before(fake_night, "backups.dump")
    abandon_night(fake_night.context, back_out_steps(rehearsal(), NIGHT))

    night = summary_of(NIGHT, fake_night.journal.events)

    assert (night.state, night.still_off) == (NightState.ABANDONED, "")
    assert lines([night], NIGHT) == ["Nothing falls due."]
    assert lines([replace(night, still_off="ETL")], NIGHT) == [
        "Due now: inv cutover.back-out --date=2014-08-15 --env=rehearsal"
    ]


@pytest.mark.parametrize(
    ("today", "due"),
    [
        (date(2014, 8, 16), "Due 2014-08-22, in 6 days: the night, with 1 school left out so far."),
        (date(2014, 8, 21), "Due 2014-08-22, in 1 day: the night, with 1 school left out so far."),
        (LATER, "Due 2014-08-22, today: the night, with 1 school left out so far."),
        (date(2014, 8, 23), "Nothing falls due."),
    ],
)
def test_a_night_to_come_is_due_on_its_date_for_the_schools_that_the_year_left_out(today: date, due: str) -> None:
    of_another_year = replace(DONE, date=date(2013, 8, 16))
    assert lines([DONE, COMING], today) == [due]
    assert lines([of_another_year, COMING], today) == [due.replace(", with 1 school left out so far", "")]


def test_the_old_warehouse_was_last_loaded_when_the_first_night_that_turned_stopped_its_etl(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    abandoned, turned, later = FakeNight(), FakeNight(), FakeNight()
    stopped_before(abandoned, "backups.dump")
    turned.clock.wait(timedelta(days=7))
    turned.run()
    later.clock.wait(timedelta(days=14))
    later.run()
    object_store = FakeObjectStore()
    dates = (date(2014, 8, 8), NIGHT, LATER)
    for day, fake_night in zip(dates, (abandoned, turned, later), strict=True):
        store(object_store, day, fake_night)
    monkeypatch.setattr(files, "object_store_of", lambda environment: object_store)

    stopped_at = turned.context.history().task_state("warehouse.stop-etl", "control").ended
    assert [nights.last_load(rehearsal(), day) for day in dates] == [None, None, stopped_at]
    assert nights.last_load(rehearsal(), date(2014, 8, 29)) == stopped_at
    assert nights.last_load(rehearsal(), date(2015, 8, 14)) is None  # of another school year


def test_a_run_that_begins_afresh_knows_when_an_abandoned_one_archived(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    operated = operated_night(monkeypatch, tmp_path)
    operated.run_until(f"db-shard-1: {VACUUM['db-shard-1']}", ProbeOutput)
    archived = read_history(operated.events).task_state("archiving.run", "debug").ended
    assert archived is not None
    operated.pay()

    operated.run()

    assert operated.events[0].data["archived_before"] == archived.isoformat()
    assert read_history(operated.events).archived_before == archived


def store(object_store: FakeObjectStore, day: date, fake_night: FakeNight) -> None:
    """Put a night's journal where other machines read it."""
    for event in fake_night.journal.events:
        object_store.put_new(f"nights/{day}/001/{event.number:06}", event.to_json())


def test_nights_of_inventory_and_store_are_listed_by_date(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_night, object_store = FakeNight(), FakeObjectStore()
    fake_night.run()
    store(object_store, date(2014, 8, 8), fake_night)
    monkeypatch.setattr(files, "object_store_of", lambda environment: object_store)
    environment = replace(rehearsal(), overlay=None)

    nights.show_nights(environment, json=True)
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(night["night"], night["state"]) for night in listed] == [
        ("2013-08-16", "not begun"),
        ("2013-08-23", "not begun"),
        ("2014-08-08", "done"),
        ("2014-08-15", "not begun"),
        ("2014-08-22", "not begun"),
    ]

    nights.show_nights(environment, json=False)
    out = capsys.readouterr().out
    assert "2014-08-08" in out
    assert "35 archived, 1 left out" in out
    assert out.endswith("Nothing falls due.\n")
    assert max(map(len, out.splitlines())) <= 80


def test_a_script_is_given_the_deferred_work_that_people_are_shown() -> None:
    work = DeferredWork(
        step="warehouse.rebuild", title="Rebuild", host="warehouse-new", until=NIGHT, by="Rondo", pays=None
    )
    night = NightSummary(date=NIGHT, state=NightState.DONE, deferred=(work,))

    assert night.to_json()["deferred"] == [
        {"step": "warehouse.rebuild", "host": "warehouse-new", "until": NIGHT.isoformat(), "by": "Rondo"}
    ]
