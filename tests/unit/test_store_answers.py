"""A store is believed only where the answer is a store's own; an event that one copy lost is in the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from errors import CutoverError
from runbooks.cli.object_store import EnvironmentStore
from runbooks.engine.live.store_journal import ForeignJournalError, StoreJournal, read_store_journal
from runbooks.engine.model.journal import Kind, read_events
from runbooks.night import files
from tests.cases.test_runbook_store import FOLDER, answered_by_another, written
from tests.fakes import EVENING, FakeObjectStore, unreachable
from tests.operated_night import operated_night

PAGES = {"no XML": b"<html><br></p>", "Latin-1": b"caf\xe9", "JSON": b'{"error": "sign in"}'}
ASK: dict[str, Callable[[EnvironmentStore], object]] = {
    "put": lambda store: store.put_new("nights/1", "an event"),
    "get": lambda store: store.get("nights/1"),
    "list": lambda store: store.names("nights/"),
}


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("ask", ASK)
def test_a_page_instead_of_an_answer_is_a_failure_of_the_store(tmp_path: Path, page: str, ask: str) -> None:
    with answered_by_another(tmp_path, PAGES[page]) as store, pytest.raises(CutoverError, match="nights"):
        ASK[ask](EnvironmentStore(store))


def journal(path: Path, store: FakeObjectStore) -> StoreJournal:
    return StoreJournal(path, store, FOLDER, now=lambda: EVENING, operator="kim@desk")


def lost(store: FakeObjectStore, path: Path, *numbers: int) -> None:
    """Fill the store with the events of a file, except for some."""
    store.texts = {f"{FOLDER}/{each.number:06}": each.to_json() for each in written(path) if each.number not in numbers}


def test_two_holes_are_put_back_and_nothing_else_is_written(tmp_path: Path) -> None:
    path, store = tmp_path / "journal.jsonl", FakeObjectStore()
    lost(store, path, 1, 2)
    assert journal(path, store).events == read_events(path)
    assert list(store.texts) == [f"{FOLDER}/{number:06}" for number in (3, 1, 2)]


def test_who_only_reads_sees_the_night_through_a_hole_and_puts_nothing_back(tmp_path: Path) -> None:
    path, store = tmp_path / "journal.jsonl", FakeObjectStore()
    lost(store, path, 2)
    assert read_store_journal(read_events(path), store, FOLDER) == read_events(path)
    assert len(store.texts) == 2


def test_a_hole_is_not_filled_from_the_file_of_another_night(tmp_path: Path) -> None:
    path, store = tmp_path / "journal.jsonl", FakeObjectStore()
    lost(store, path, 2)
    other = journal(tmp_path / "other.jsonl", FakeObjectStore())
    for _ in range(3):
        other.append(Kind.RESUMED, digest="other")
    with pytest.raises(ForeignJournalError):
        journal(tmp_path / "other.jsonl", store)
    assert len(store.texts) == 2


def test_an_event_beyond_the_file_that_is_lost_is_a_hole_with_a_way_on(tmp_path: Path) -> None:
    path, store = tmp_path / "journal.jsonl", FakeObjectStore()
    lost(store, path, 2)
    first = path.read_text().splitlines(keepends=True)[0]
    path.write_text(first)
    with pytest.raises(CutoverError, match="an event is missing") as damaged:
        journal(path, store)
    assert "Resume on the machine that ran the night" in damaged.value.hint


def test_without_a_store_and_a_file_no_task_says_that_a_night_has_not_begun(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment, store = operated_night(monkeypatch, tmp_path).environment, FakeObjectStore()
    store.names = lambda start: unreachable()  # type: ignore[assignment,method-assign,return-value]
    monkeypatch.setattr(files, "object_store_of", lambda environment: store)
    with pytest.raises(CutoverError, match="may have begun or not"):
        files.events_of(environment, "2014-08-15")
