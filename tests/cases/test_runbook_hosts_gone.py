"""Missing parts: the terminal of a night, the process that conducted it, a host that the inventory named."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from errors import CutoverError
from inventory.model import Environment
from runbooks.cutover import back_out_steps
from runbooks.engine.live.lock import Holder
from runbooks.engine.model.journal import Kind, read_events
from runbooks.engine.run.abandon import abandon_night
from runbooks.night import earlier_nights, files, status
from tests.cases.runbook_conducted import ASKED, conducted
from tests.fakes import NIGHT, FakeClock, FakeNight, FakeObjectStore, Killed, night_plan, rehearsal
from tests.operated_night import operated_night
from tests.unit.test_abandon import stopped_before

DATE = "2014-08-15"
DEAD = Holder(who="kim", where="desk", pid=1, born="before the last boot 17", what="running", since="22:00")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_night_whose_terminal_is_closed_at_a_prompt_stops_in_the_journal(
    tmp_path: Path, number: signal.Signals
) -> None:
    """Listeners of the journal, such as the webhook, receive every event in it."""
    with conducted(tmp_path) as night:
        night.await_line(ASKED)
        assert night.ended_by(number)
    assert read_events(tmp_path / "rehearsal" / DATE / "journal.jsonl")[-1].kind is Kind.STOPPED


class Patient(FakeClock):
    """A clock by which a test waits for ten minutes and no longer."""

    def wait(self, pause: timedelta) -> None:
        super().wait(pause)
        if self.ticks() > 600:
            pytest.fail("it is still followed")


@pytest.mark.parametrize("note", [DEAD.to_json(), ""], ids=["died", "let go"])
def test_a_run_that_died_is_followed_until_its_death_is_detected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, note: str
) -> None:
    """Its process is gone and its journal has no end: it died on this machine, or let go of its lock all the same."""
    operated, object_store = operated_night(monkeypatch, tmp_path), FakeObjectStore()
    for place in (files, earlier_nights):
        monkeypatch.setattr(place, "object_store_of", lambda environment: object_store)
    monkeypatch.setattr(files, "host", lambda: DEAD.where)
    monkeypatch.setattr(status, "SystemClock", Patient)
    fake_night = FakeNight()
    fake_night.journal = fake_night.journal.next_life(fake_night.clock, dies_at=30)
    with pytest.raises(Killed):
        fake_night.run()
    for event in fake_night.journal.events:
        object_store.put_new(f"nights/{DATE}/001/{event.number:06}", event.to_json())
    object_store.put_new("lock/00000001", note)
    with suppress(CutoverError):  # or it is told so
        status.follow_status(operated.environment, operated.fake_night.plan)


def renamed() -> Environment:
    """The rehearsal after its watcher was called watcher-2."""
    environment = rehearsal()
    watcher = replace(environment.hosts["watcher"], name="watcher-2")
    hosts = {host.name: host for host in environment.hosts.values() if host.name != "watcher"}
    return replace(environment, hosts={**hosts, "watcher-2": watcher})


def resume(fake_night: FakeNight) -> None:
    fake_night.run()


def pay(fake_night: FakeNight) -> None:
    abandon_night(fake_night.context, back_out_steps(renamed(), NIGHT))


@pytest.mark.parametrize("work", [resume, pay])
def test_a_debt_of_a_host_that_the_inventory_no_longer_names_is_reported_with_its_name(
    work: Callable[[FakeNight], None],
) -> None:
    fake_night = FakeNight()
    stopped_before(fake_night, "warehouse.stop-etl")
    fake_night.plan = night_plan(renamed())
    with pytest.raises(CutoverError) as left:
        work(fake_night)
    told = f"{left.value} {left.value.hint}".replace("watcher-2", "")
    assert "watcher" in told  # the host; the debt itself is called System Watcher
