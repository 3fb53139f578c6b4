"""Work begins only where times can be compared: this machine's clock, the hosts', and the night's own journal."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from errors import RefusedError
from formatting import clock_span
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.preconditions import CLOCKS_APART
from runbooks.engine.run.preflight import require_again
from runbooks.night.files import Files
from tests.fakes import FakeNight, unreachable
from tests.operated_night import operated_night


@pytest.mark.parametrize(("ahead", "refused"), [(CLOCKS_APART, False), (CLOCKS_APART + timedelta(seconds=1), True)])
def test_a_journal_may_be_ahead_of_the_clock_by_what_clocks_may_differ(ahead: timedelta, refused: bool) -> None:
    night = FakeNight()
    night.context.begin()
    first, night.screen.lines = night.journal.events[0], []
    night.journal._events[0] = replace(first, at=night.clock.now() + ahead)
    if not refused:
        require_again(night.context)
        return
    with pytest.raises(RefusedError, match="31 s in the future by this machine's clock"):
        require_again(night.context)
    assert night.screen.lines == []  # nothing was asked of a host


def test_an_earlier_event_from_the_future_counts_too() -> None:
    night = FakeNight()
    night.context.begin()
    night.context.adopt_plan()
    night.journal._events[0] = replace(night.journal.events[0], at=night.clock.now() + timedelta(hours=1))
    with pytest.raises(RefusedError, match="1 h in the future"):
        require_again(night.context)


def test_a_host_whose_clock_can_not_be_asked_is_a_warning_when_work_begins_again() -> None:
    night = FakeNight()
    night.production.broken["watcher: date -u +%s"] = unreachable
    require_again(night.context)
    assert any(line.startswith("! watcher: its clock is at most 30 s off") for line in night.screen.lines)


def test_stopping_jobs_is_not_refused_for_a_clock(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    operated = operated_night(monkeypatch, tmp_path)
    operated.run_until("db-shard-1: backup transfer", ProbeOutput)
    for host in operated.environment.hosts:
        operated.fake_night.production.broken[f"{host}: date -u +%s"] = lambda: ProbeOutput(text="0\n")
    assert "is aborted" in str(operated.abort())
    assert Files(operated.environment, "2014-08-15").journal.exists()


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "-0:01"), (-59, "-0:59"), (-3600, "-1:00:00"), (-0.4, "0:00"), (3723, "1:02:03")]
)
def test_a_span_shows_its_sign_and_not_another_span(seconds: float, shown: str) -> None:
    assert clock_span(timedelta(seconds=seconds)) == shown
