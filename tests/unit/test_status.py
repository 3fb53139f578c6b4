"""A night seen by another operator: followed as it goes on, and compared with the nights before it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from errors import CutoverError
from inventory.model import Environment
from runbooks.cli import due_work
from runbooks.engine.live.console import Console
from runbooks.engine.live.store_journal import StoreJournal, next_folder
from runbooks.engine.model.debts import TIMES
from runbooks.engine.model.journal import Event, FileJournal
from runbooks.night import earlier_nights, files, status, summary
from tests.fakes import EVENING, FakeClock, FakeNight, FakeObjectStore, rehearsal

SOON_AFTER = EVENING + timedelta(hours=1)


def conducted(object_store: FakeObjectStore, folder: Path) -> tuple[Event, ...]:
    """Return a whole night, kept in the object store by another machine."""
    fake_night = FakeNight()
    place = next_folder(object_store, "2014-08-15")
    fake_night.journal = StoreJournal(  # type: ignore[assignment]  # the real one
        folder / "journal.jsonl", object_store, place, now=fake_night.clock.now, operator="jim@laptop"
    )
    fake_night.run()
    return fake_night.journal.events


def test_a_night_on_another_machine_is_followed_event_by_event_until_it_ends(tmp_path: Path) -> None:
    object_store, theirs = FakeObjectStore(), FakeObjectStore()
    events = conducted(theirs, tmp_path)
    names = sorted(theirs.texts)
    pieces = [names[:3], [], names[3:40], names[40:]]  # what has come since the last look
    paper, clock = io.StringIO(), FakeClock()
    console = Console(clock=clock, file=paper)

    def look(known: tuple[Event, ...]) -> tuple[Event, ...]:
        if len(pieces) == 2:
            object_store.fails[""] = True
        piece = pieces.pop(0)
        object_store.texts.update({name: theirs.texts[name] for name in piece})
        if not piece:
            raise CutoverError("Reading the store failed: 503.")
        return files.newer(object_store, "2014-08-15", known)

    def show(seen: tuple[Event, ...], shown: int) -> None:
        summary.show_news(console, FakeNight().plan, seen[shown:])

    status.follow(look, show, clock, console.warn)

    lines = paper.getvalue().splitlines()
    assert pieces == []
    assert len(lines) == len(events) + 1
    assert lines[0] == "  17:00:00  the night begins (jim@laptop)"
    assert lines[2].startswith("  17:00:01  step 1, Apangea maintenance mode on, control: done, 503")
    assert lines[3] == "! Reading the store failed: 503. Looking again."
    assert lines[-1].endswith("the night ends (jim@laptop)")


def test_a_night_that_is_begun_afresh_is_shown_from_its_beginning(tmp_path: Path) -> None:
    object_store, clock, shown = FakeObjectStore(), FakeClock(), list[tuple[int, int]]()
    first = conducted(object_store, tmp_path / "1")

    def look(known: tuple[Event, ...]) -> tuple[Event, ...]:
        if not known:
            return files.newer(object_store, "2014-08-15", ())[:-1]  # as it stood before its last event
        if len(known) < len(first):
            conducted(object_store, tmp_path / "2")
        return files.newer(object_store, "2014-08-15", known)

    status.follow(look, lambda seen, before: shown.append((len(seen), before)), clock, pytest.fail)
    assert shown[0] == (len(first) - 1, 0)
    assert shown[-1][0] == len(first)


def test_one_screen_shows_where_the_night_is(tmp_path: Path) -> None:
    events = conducted(FakeObjectStore(), tmp_path)
    paper = io.StringIO()
    console = Console(clock=FakeClock(), file=paper)
    summary.show_progress(console, FakeNight().plan, events[:30], events[29].at)

    told = paper.getvalue()
    assert "Cutover of 2014-08-15 in rehearsal: 4 of 17 steps" in told
    assert "backups.dump" not in told
    assert re.search(r" 5 +DB backup +\w+ +\d/5 .*1 h, as planned", told)
    assert "done about" in told
    assert "still off: maintenance mode · System Watcher · ETL · auto-backup " + TIMES + "5" in told


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Environment]:
    """Lay the journal of a night of an environment, which began at EVENING, onto this machine."""
    monkeypatch.setattr(earlier_nights, "ROOT", tmp_path)
    monkeypatch.setattr(due_work, "ROOT", tmp_path)
    monkeypatch.setattr(earlier_nights, "object_store_of", lambda environment: FakeObjectStore())

    def lay(name: str, file: str) -> Environment:
        fake_night = FakeNight()
        path = tmp_path / ".cutover" / name / "2014-08-15" / file
        fake_night.journal = FileJournal(path, now=fake_night.clock.now, operator="ann@here")  # type: ignore[assignment]
        fake_night.run()
        return replace(rehearsal(), environment=name, state=".cutover")

    return lay


def test_estimates_come_from_the_environments_own_nights_else_from_rehearsals(
    place: Callable[[str, str], Environment],
) -> None:
    place("rehearsal", "journal.jsonl")
    staging = replace(rehearsal(), environment="staging", state=".cutover")
    assert [night.rehearsal for night in earlier_nights.earlier_nights(staging, SOON_AFTER)] == [True]

    place("staging", "journal-1.jsonl")
    place("staging", "journal.jsonl")
    nights = earlier_nights.earlier_nights(staging, SOON_AFTER)
    assert [(night.name, night.rehearsal) for night in nights] == [("2014-08-15", False)] * 2
    assert earlier_nights.earlier_nights(staging, EVENING) == []  # a night is not earlier than itself


def test_a_machine_that_has_seen_no_night_asks_the_store_and_a_store_that_is_down_changes_nothing(
    place: Callable[[str, str], Environment], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    object_store = FakeObjectStore()
    conducted(object_store, tmp_path)
    staging = replace(rehearsal(), environment="staging", state=".cutover")
    monkeypatch.setattr(earlier_nights, "object_store_of", lambda environment: object_store)
    assert [night.name for night in earlier_nights.earlier_nights(staging, SOON_AFTER)] == ["2014-08-15"]

    def down(environment: Environment) -> FakeObjectStore:
        raise CutoverError("The store is down.")

    monkeypatch.setattr(earlier_nights, "object_store_of", down)
    assert earlier_nights.earlier_nights(staging, SOON_AFTER) == []


def test_a_rehearsals_journal_outlives_its_lab(place: Callable[[str, str], Environment], tmp_path: Path) -> None:
    in_lab = place("lab-state/rehearsal", "journal.jsonl")
    environment = replace(in_lab, environment="rehearsal", state=".cutover/lab-state")
    earlier_nights.keep(environment, "2014-08-15")
    earlier_nights.keep(environment, "2014-08-15")

    [kept] = (tmp_path / ".cutover" / "rehearsal" / "2014-08-15").iterdir()
    assert kept.name.startswith("journal-rehearsal-2014-08-15-")
    assert [night.name for night in earlier_nights.earlier_nights(environment, SOON_AFTER)] == ["2014-08-15"]
