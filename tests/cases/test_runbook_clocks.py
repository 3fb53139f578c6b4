"""Proofs compare times of hosts with our own, so the clock of every operator is checked first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from errors import RefusedError
from formatting import clock_span
from runbooks.engine.model.actions import ProbeOutput
from runbooks.night import run
from tests.fakes import FakeClock
from tests.operated_night import OperatedNight, operated_night

LATE = timedelta(minutes=10)  # what a laptop's clock is behind


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OperatedNight:
    """A night that stopped in step 6."""
    operated = operated_night(monkeypatch, tmp_path)
    operated.run_until("db-shard-1: backup transfer", ProbeOutput)
    return operated


def resume(operated: OperatedNight) -> None:
    operated.resume()


def pay(operated: OperatedNight) -> None:
    operated.pay()


def alone(operated: OperatedNight) -> None:
    run.run_alone(operated.environment, operated.fake_night.plan, operated.terminal, "backups.transfer")


@pytest.mark.parametrize("work", [resume, pay, alone])
def test_resuming_with_a_clock_that_is_off_is_refused(
    operated: OperatedNight, work: Callable[[OperatedNight], None]
) -> None:
    """The operator's machine is ten minutes behind every host: the hosts' answers stand in for faketime."""
    production, theirs = operated.fake_night.production, int((operated.fake_night.clock.now() + LATE).timestamp())
    for host in operated.environment.hosts:
        production.broken[f"{host}: date -u +%s"] = lambda: ProbeOutput(text=f"{theirs}\n")
    acts = list(production.acts)
    with pytest.raises(RefusedError, match="clock"):
        work(operated)
    assert production.acts == acts


def test_resuming_reports_a_journal_from_the_future(operated: OperatedNight) -> None:
    """Hosts and operator agree, and all of them are behind what was written before."""
    operated.fake_night.clock = operated.fake_night.production.clock = FakeClock()
    assert operated.events[-1].at > operated.fake_night.clock.now()
    try:
        operated.resume()
    except RefusedError as refused:
        told = str(refused)
    else:
        told = "\n".join(line for line in [*operated.fake_night.screen.lines, operated.out.getvalue()] if "! " in line)
    assert "journal" in told or "future" in told or "clock" in told


def test_a_negative_time_is_not_displayed_as_another() -> None:
    told = clock_span(-LATE)
    assert "50" not in told
    assert told.lstrip("-\N{MINUS SIGN}") in ("10:00", "0:00", "")
