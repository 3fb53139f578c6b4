"""Proofs compare moments of hosts with our own, so whoever begins to work is known to go by the same time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from errors import RefusedError
from runbooks.engine.live.console import span
from runbooks.engine.model.actions import Reading
from runbooks.night import run
from tests.cases import case
from tests.fakes import FakeClock
from tests.operated_night import House, open_house

LATE = timedelta(minutes=10)  # what a laptop's clock is behind


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> House:
    """A night that stopped in step 6."""
    house = open_house(monkeypatch, tmp_path)
    house.run_until("db-shard-1: backup transfer", Reading)
    return house


def resume(house: House) -> None:
    house.resume()


def pay(house: House) -> None:
    house.pay()


def alone(house: House) -> None:
    run.run_alone(house.environment, house.theatre.plan, house.cast, "backups.transfer")


@case("runbook 34", "resume, pay and a step alone look at no clock: ten minutes apart are not noticed")
@pytest.mark.parametrize("work", [resume, pay, alone])
def test_whoever_goes_on_with_a_clock_that_is_off_is_refused(house: House, work: Callable[[House], None]) -> None:
    """The operator's machine is ten minutes behind every host: faketime is played by what the hosts answer."""
    production, theirs = house.theatre.production, int((house.theatre.clock.now() + LATE).timestamp())
    for host in house.environment.hosts:
        production.broken[f"{host}: date -u +%s"] = lambda: Reading(text=f"{theirs}\n")
    acts = list(production.acts)
    with pytest.raises(RefusedError, match="clock"):
        work(house)
    assert production.acts == acts


@case("runbook 34", "a journal whose last event lies in the future is gone on with without a word")
def test_a_journal_from_the_future_is_told_to_whoever_goes_on(house: House) -> None:
    """Hosts and operator agree, and all of them are behind what was written before."""
    house.theatre.clock = house.theatre.production.clock = FakeClock()
    assert house.events[-1].at > house.theatre.clock.now()
    try:
        house.resume()
    except RefusedError as refused:
        told = str(refused)
    else:
        told = "\n".join(line for line in [*house.theatre.screen.lines, house.out.getvalue()] if "! " in line)
    assert "journal" in told or "future" in told or "clock" in told


@case("runbook 34", "ten minutes less than nothing are told as -1:50:00")
def test_a_time_below_nothing_is_not_told_as_another() -> None:
    told = span(-LATE)
    assert "50" not in told
    assert told.lstrip("-\N{MINUS SIGN}") in ("10:00", "0:00", "")
