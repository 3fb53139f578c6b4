"""A breach of what must hold at all times is seen while a step lasts, also if it is over by the end of the step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from rehearsal.waiting import await_condition
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.run import watching
from runbooks.engine.run.watching import InvariantBroken
from tests.fakes import FakeNight, Production, archive_command, night_plan, rehearsal


def both_on(production: Production) -> None:
    production.etl.update({"warehouse-old": True, "warehouse-new": True})


def both_off(production: Production) -> None:
    production.etl.update({"warehouse-old": False, "warehouse-new": False})


def opened(production: Production) -> None:
    production.maintenance = False


def closed(production: Production) -> None:
    production.maintenance = True


def broken(fake_night: FakeNight) -> list[Event]:
    return [event for event in fake_night.journal.events if event.kind is Kind.BROKEN]


@pytest.fixture
def fake_night(monkeypatch: pytest.MonkeyPatch) -> FakeNight:
    monkeypatch.setattr(watching, "PAUSE", 0.01)
    return FakeNight()


@pytest.mark.parametrize(
    ("spoil", "mend", "proof"),
    [(both_on, both_off, "warehouse-old and warehouse-new"), (opened, closed, "200 OK at .*, expected 503")],
)
def test_what_is_broken_only_while_a_step_lasts_stops_the_night_after_it(
    fake_night: FakeNight, spoil: Callable[[Production], None], mend: Callable[[Production], None], proof: str
) -> None:
    production, command = fake_night.production, f"debug: {archive_command()}"

    def meanwhile() -> ProbeOutput:
        spoil(production)
        await_condition(lambda: bool(broken(fake_night)), doing="Waiting for a look", seconds=30)
        mend(production)
        del production.broken[command]
        return production.do("debug", archive_command())

    production.broken[command] = meanwhile
    with pytest.raises(InvariantBroken, match=proof) as stopped:
        fake_night.run()

    assert fake_night.outcomes()["archiving.run debug"] == "done"
    assert "vacuum.full db-master" not in fake_night.outcomes()
    assert len(broken(fake_night)) == 1
    assert "Run archiving script, lasted" in str(stopped.value)
    assert fake_night.journal.events[-1].kind is Kind.STOPPED

    fake_night.journal = fake_night.journal.next_life(fake_night.clock)
    fake_night.run()
    assert fake_night.journal.events[-1].kind is Kind.ENDED


def test_a_disk_that_fills_up_is_told_and_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "PAUSE", 0.01)
    environment = rehearsal()
    master = replace(environment.databases["master"], data_directory="/var/lib/data")
    databases = {**environment.databases, "master": master}
    fake_night = FakeNight(plan=night_plan(replace(environment, databases=databases)))
    production, command = fake_night.production, f"debug: {archive_command()}"
    df = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda 100000 {} {} 99% /\n"
    free = {"kB": 50_000_000}
    production.broken["db-master: df -Pk /var/lib/data"] = lambda: ProbeOutput(text=df.format(0, free["kB"]))

    def meanwhile() -> ProbeOutput:
        assert broken(fake_night) == []
        free["kB"] = 1000
        await_condition(lambda: bool(broken(fake_night)), doing="Waiting for a look", seconds=30)
        del production.broken[command]
        return production.do("debug", archive_command())

    production.broken[command] = meanwhile
    fake_night.run()

    assert {(event.data["check"], event.data["proof"]) for event in broken(fake_night)} == {
        ("at least 1.0 GB free on the disks of db-master", "1.0 MB free on / of db-master")
    }
    assert fake_night.journal.events[-1].kind is Kind.ENDED


def test_maintenance_mode_is_watched_from_its_step_until_it_is_switched_off(fake_night: FakeNight) -> None:
    fake_night.run()
    assert broken(fake_night) == []
