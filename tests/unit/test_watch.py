"""A second machine hears when a run dies, in whatever step, and hears nothing of a clean night."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from errors import CutoverError, ExitCode
from runbooks.engine.live.background import repeated
from runbooks.engine.live.store_journal import StoreJournal
from runbooks.engine.model.debts import owed
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.stillness import Standing, standing_of
from runbooks.night import heartbeat
from runbooks.night.heartbeat import StoreBeats, UrlBeats, last_beat
from runbooks.night.watch import PAUSE, Look, StandsStill, Unwatched, Watcher
from runbooks.night.webhook import Webhook
from tests.fakes import FakeClock, FakeNight, FakeObjectStore
from tests.webhooks import serving

BEAT = timedelta(seconds=heartbeat.TO_STORE)
HEARD_WITHIN = timedelta(seconds=120)


@dataclass
class Watched:
    """A watch of a night that a test plays, by a clock of its own."""

    night: FakeNight = field(default_factory=FakeNight)
    clock: FakeClock = field(default_factory=FakeClock)
    calls: list[tuple[str, timedelta, str]] = field(default_factory=list)
    arrives: bool = True
    watcher: Watcher = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.clock.ticks()
        self.watcher = Watcher(self.night.plan, self.clock, lambda line: None, self._call)

    def _call(self, event: str, text: str) -> bool:
        self.calls.append((event, timedelta(seconds=self.clock.ticks() - self.began), text))
        return self.arrives

    def looks(self, look: Look | CutoverError, during: timedelta, *, beating: bool = False) -> bool:
        """Look every few seconds; return whether the night was over at the last look."""
        over, end = False, self.clock.ticks() + during.total_seconds()
        while not over and self.clock.ticks() < end:
            self.clock.wait(PAUSE)
            if beating and isinstance(look, Look):
                look = Look(look.events, look.beats + 1, self.clock.now())
            over = self.watcher.look(partial(_taken, look))
        return over


def _taken(look: Look | CutoverError, before: Look) -> Look:
    if isinstance(look, CutoverError):
        raise look
    return look


@pytest.fixture(scope="module")
def events() -> tuple[Event, ...]:
    fake_night = FakeNight()
    fake_night.run()
    return fake_night.journal.events


def at(events: tuple[Event, ...], number: int, clock: FakeClock) -> Look:
    """Return the look at a run that gave its last sign, the event of that number, just now."""
    return Look(events[:number], number, clock.now())


def test_a_run_that_dies_at_any_event_is_heard_of_in_time(events: tuple[Event, ...]) -> None:
    steps = set[str]()
    for number in range(1, len(events)):
        watched = Watched()
        watched.looks(at(events, number, watched.clock), timedelta(seconds=130))
        [(event, heard, text)] = watched.calls
        assert event == "stands still"
        assert heard <= HEARD_WITHIN, events[number - 1]
        assert ("still off" in text) == bool(owed(events[:number]))
        steps.add(events[number - 1].step)
    assert {step.key for step in FakeNight().plan.steps} <= steps


def test_a_clean_night_is_heard_of_never_however_long_a_step_or_a_person_takes(events: tuple[Event, ...]) -> None:
    watched = Watched()
    for number in range(1, len(events)):
        assert not watched.looks(at(events, number, watched.clock), timedelta(minutes=7), beating=True)
    assert watched.looks(at(events, len(events), watched.clock), timedelta(minutes=7))
    assert watched.calls == []


def test_a_process_that_is_stopped_for_ten_minutes_is_called_about_once_and_heard_to_go_on(
    events: tuple[Event, ...],
) -> None:
    watched = Watched()
    watched.looks(at(events, 20, watched.clock), timedelta(minutes=3), beating=True)
    asleep = Look(events[:20], 18 * 3, watched.clock.now())
    watched.looks(asleep, timedelta(minutes=10))
    watched.looks(Look(events[:20], 18 * 3 + 1, watched.clock.now()), timedelta(seconds=30), beating=True)

    assert [event for event, _, _ in watched.calls] == ["stands still", "goes on"]
    assert watched.calls[0][1] - timedelta(minutes=3) <= HEARD_WITHIN


def test_a_night_that_stopped_with_debts_is_called_about_again_until_it_is_resumed(events: tuple[Event, ...]) -> None:
    stopped = Event(number=21, at=events[19].at, kind=Kind.STOPPED, operator="chris@laptop", data={"reason": "by hand"})
    watched = Watched()
    watched.looks(Look((*events[:20], stopped), 1, watched.clock.now()), timedelta(minutes=25))

    assert [event for event, _, _ in watched.calls] == ["stands still"] * 3
    assert "it stopped: by hand (chris@laptop); still off: maintenance mode" in watched.calls[0][2]


def test_a_night_that_stopped_and_owes_nothing_is_over() -> None:
    now = FakeClock().now()
    began = Event(number=1, at=now, kind=Kind.BEGAN, operator="chris@laptop", data={"run": "r", "digest": "d"})
    stopped = Event(number=2, at=now, kind=Kind.STOPPED, operator="chris@laptop", data={"reason": "by hand"})
    assert standing_of((began, stopped), timedelta(hours=1)).standing is Standing.OVER
    assert standing_of((), timedelta(hours=1)).standing is Standing.NOT_BEGUN


@pytest.mark.parametrize(("away", "heard"), [(60, []), (240, ["unwatched", "goes on"])])
def test_a_store_that_is_away_is_outlived_and_told_when_it_stays_away(
    events: tuple[Event, ...], away: int, heard: list[str]
) -> None:
    watched = Watched()
    watched.looks(at(events, 20, watched.clock), timedelta(minutes=2), beating=True)
    watched.looks(CutoverError("Listing the store failed."), timedelta(seconds=away))
    watched.looks(Look(events[:25], 99, watched.clock.now()), timedelta(minutes=1), beating=True)
    assert [event for event, _, _ in watched.calls] == heard


def test_a_call_that_does_not_arrive_is_made_again_at_the_next_look(events: tuple[Event, ...]) -> None:
    watched = Watched(arrives=False)
    watched.looks(at(events, 20, watched.clock), timedelta(seconds=120))
    watched.arrives = True
    watched.looks(at(events, 20, watched.clock), timedelta(seconds=60))
    assert [event for event, _, _ in watched.calls] == ["stands still"] * 4


def test_without_a_webhook_the_exit_code_is_the_call(events: tuple[Event, ...]) -> None:
    watched = Watched()
    watched.watcher = Watcher(watched.night.plan, watched.clock, lambda line: None, None)
    with pytest.raises(StandsStill) as still:
        watched.looks(at(events, 20, watched.clock), timedelta(minutes=5))
    watched.watcher = Watcher(watched.night.plan, watched.clock, lambda line: None, None)
    with pytest.raises(Unwatched) as unwatched:
        watched.looks(CutoverError("Listing the store failed."), timedelta(minutes=5))

    assert (still.value.exit_code, unwatched.value.exit_code) == (ExitCode.DEBT, ExitCode.UNKNOWN)
    assert "goes on from here" in still.value.hint


def test_a_watch_that_is_started_late_goes_by_the_times_that_were_written(events: tuple[Event, ...]) -> None:
    watched = Watched()
    watched.clock.wait(timedelta(days=1))
    long_ago = Look(events[:20], 7, watched.clock.now() - timedelta(hours=1))
    watched.looks(long_ago, PAUSE)
    assert [event for event, _, _ in watched.calls] == ["stands still"]


def journal_of(tmp_path: Path, object_store: FakeObjectStore, clock: FakeClock) -> StoreJournal:
    folder = "nights/2014-08-15/001"
    return StoreJournal(tmp_path / "journal.jsonl", object_store, folder, now=clock.now, operator="chris@laptop")


def test_beats_lie_in_the_store_beside_the_events_and_go_on_after_a_failure_and_a_resume(tmp_path: Path) -> None:
    object_store, clock = FakeObjectStore(), FakeClock()
    journal = journal_of(tmp_path, object_store, clock)
    assert last_beat(object_store, journal.folder) == (0, None)
    first = StoreBeats(journal, clock)
    first.beat()
    object_store.fails["beats/2014-08-15/001/000002"] = False
    first.beat()
    first.beat()
    StoreBeats(journal, clock).beat()

    assert list(object_store.texts) == [f"beats/2014-08-15/001/00000{number}" for number in (1, 2, 3)]
    assert last_beat(object_store, journal.folder) == (3, clock.now())


def test_a_service_hears_beats_while_something_is_owed_and_is_stood_down_only_when_nothing_is() -> None:
    fake_night, states = FakeNight(), list[str]()
    with serving() as inbox:
        beats = UrlBeats(Webhook(inbox.url, pytest.fail, "heartbeat"), fake_night.journal, {"night": "2014-08-15"})
        fake_night.journal.listen(lambda event: beats.beat())
        fake_night.journal.append(Kind.BEGAN, run="r", digest="d")
        beats.stand_down()
        assert inbox.news == []
        fake_night.journal.append(Kind.INTENT, step="maintenance.on", host="control", what="on", owes=DEBT)
        fake_night.journal.append(
            Kind.QUESTION, step="watcher.stop", host="watcher", who="chris@laptop", what="to do it"
        )
        beats.stand_down()
        fake_night.journal.append(
            Kind.RESULT, step="maintenance.off", host="control", outcome="done", proof="", pays=DEBT
        )
        beats.stand_down()
        states = [news["state"] for news in inbox.news]
    assert states == ["at work", "waiting", "ended"]


DEBT = {"what": "maintenance mode", "where": "control"}


def test_work_is_repeated_until_the_block_ends() -> None:
    clock, times = FakeClock(), list[datetime]()
    with repeated(lambda: times.append(clock.now()), 0.001):
        while len(times) < 3:
            pass
    ended = len(times)
    assert len(times) <= ended + 1
