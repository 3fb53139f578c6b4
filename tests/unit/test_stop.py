"""A run that a signal ends says so in its journal, wherever it comes: at any line from the run's first event on."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from errors import CutoverError, ExitCode
from runbooks.engine.live import background
from runbooks.engine.live.interrupt import ENDING
from runbooks.engine.live.store_journal import StoreJournal, read_store_journal
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.journal import OVER, Event, Journal, Kind, read_events
from runbooks.engine.model.ports import Choice
from runbooks.engine.run.stop import stop_journaled
from runbooks.night import files, run
from tests.fakes import EVENING, FakeObjectStore
from tests.operated_night import operated_night

FOLDER = "nights/2014-08-15/001"
# What lies between an act and its event, and what a signal may tear apart in the library.
TORN = ("/engine/run/", "/engine/live/", "/engine/model/journal.py", "/night/run.py", "contextlib.py", "threading.py")
JOURNALS = ("stop.py", "journal.py", "background.py")  # every line of these, and some of each other file
Place = tuple[str, int]


class Tracer:
    """Follows the main thread from the run's first event on; sends Ctrl-C at the first visit to one place."""

    def __init__(self, at: Place | None = None) -> None:
        self.places = dict[Place, None]()
        self.sent = False
        self._at = at
        self._follows = False

    def __call__(self, frame: FrameType, event: str, argument: object) -> Any:
        if not self._follows and frame.f_code.co_qualname == "RunContext.begin":
            self._follows, outer = True, frame.f_back
            while outer:  # these began before there was anything to follow
                outer.f_trace, outer = self._line, outer.f_back
        return self._line if self._follows and _torn(frame.f_code.co_filename) else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        place = (frame.f_code.co_filename, frame.f_lineno)
        if event == "line" and place not in self.places and _torn(place[0]):
            self.places[place] = None
            if place == self._at:
                self.sent = True
                sys.settrace(None)
                signal.raise_signal(signal.SIGINT)
        return self._line


def _torn(name: str) -> bool:
    return any(part in name for part in TORN)


def night_of(home: Path, tracer: Tracer) -> tuple[BaseException | None, tuple[Event, ...], FakeObjectStore]:
    """Run a step alone that fails, is tried again and stops; return what ended it, its journal and its store."""
    before, handlers = sys.gettrace(), {number: signal.getsignal(number) for number in ENDING}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(background, "INTERRUPTED_SECONDS", 0.0)  # no test reads the report
        operated = operated_night(patch, home)
        store, night = files.object_store_of(operated.environment), operated.fake_night
        night.production.broken["watcher: system-watcher stop"] = ProbeOutput
        night.person.script["choose watcher.stop watcher"] = [Choice.RETRY]
        ended: BaseException | None = None
        sys.settrace(tracer)
        try:
            run.run_alone(operated.environment, night.plan, operated.terminal, "watcher.stop")
        except (CutoverError, KeyboardInterrupt) as error:
            ended = error
        finally:
            sys.settrace(before)
            for number, handler in handlers.items():
                signal.signal(number, handler)
        assert isinstance(store, FakeObjectStore)
        return ended, operated.events, store


def test_a_run_interrupted_at_any_line_has_journaled_that_it_stopped(tmp_path: Path) -> None:
    whole = Tracer()
    night_of(tmp_path / "whole", whole)
    places = [*whole.places]
    assert len(places) > 150
    for number, place in enumerate(places):
        if number % 15 and not place[0].endswith(JOURNALS):
            continue
        tracer = Tracer(place)
        ended, events, store = night_of(tmp_path / str(number), tracer)
        assert tracer.sent
        assert isinstance(ended, KeyboardInterrupt), place
        assert events == read_store_journal((), store, FOLDER), place
        if events:
            assert len([event for event in events if event.kind in OVER]) == 1, (place, events)


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (CutoverError("no space"), "no space", ExitCode.FAILED),
        (
            RuntimeError("cannot release un-acquired lock"),
            "this should not have happened: RuntimeError: ",
            ExitCode.FAILED,
        ),
        (KeyboardInterrupt("SIGHUP"), "interrupted by SIGHUP", ExitCode.INTERRUPTED),
        (GeneratorExit(), "interrupted", ExitCode.INTERRUPTED),
    ],
    ids=["sentence", "unforeseen", "signal", "torn"],
)
def test_the_journal_says_why_a_run_stopped_whatever_ends_it(error: BaseException, reason: str, code: int) -> None:
    journal = Journal(now=lambda: EVENING, operator="chris@laptop")
    with pytest.raises(type(error)), stop_journaled(journal, pytest.fail), stop_journaled(journal, pytest.fail):
        raise error
    (event,) = journal.events
    assert event.kind is Kind.STOPPED
    assert str(event.data["reason"]).startswith(reason)
    assert event.data["code"] == code


def test_an_error_of_what_a_signal_tore_apart_is_an_interruption() -> None:
    """As where Python's own lock says that it is not held."""
    journal = Journal(now=lambda: EVENING, operator="chris@laptop")
    with pytest.raises(KeyboardInterrupt, match="SIGTERM"), stop_journaled(journal, pytest.fail):
        try:
            raise KeyboardInterrupt("SIGTERM")
        finally:
            raise RuntimeError("release unlocked lock")
    assert journal.events[-1].data["reason"] == "interrupted by SIGTERM"


def test_a_run_that_stops_before_its_first_event_journals_nothing() -> None:
    journal = Journal(now=lambda: EVENING, operator="chris@laptop")
    with pytest.raises(CutoverError), stop_journaled(journal, pytest.fail, begun=False):
        raise CutoverError("refused")
    assert not journal.events


def test_a_stop_that_the_store_does_not_take_is_told_and_the_first_error_stays(tmp_path: Path) -> None:
    store, warnings = FakeObjectStore(), list[str]()
    journal = StoreJournal(tmp_path / "journal.jsonl", store, FOLDER, now=lambda: EVENING, operator="chris@laptop")
    journal.append(Kind.BEGAN, run="r", digest="d")
    store.fails[f"{FOLDER}/000002"] = False
    with pytest.raises(KeyboardInterrupt), stop_journaled(journal, warnings.append):
        raise KeyboardInterrupt
    assert warnings == [f"The journal does not say that this run stopped. Storing {FOLDER}/000002 failed: 503."]
    assert [event.kind for event in read_events(tmp_path / "journal.jsonl")] == [Kind.BEGAN]
