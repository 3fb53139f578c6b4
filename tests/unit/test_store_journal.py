"""A night's journal that several machines share: one goes on, the others read, and whoever was ousted stops."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import CutoverError, ExitCode
from runbooks.engine.live.store_journal import (
    ForeignJournalError,
    OustedError,
    SharedJournal,
    current_folder,
    next_folder,
    read_shared,
)
from runbooks.engine.model.journal import Kind, read_events
from tests.fakes import EVENING, FakeShelf

FOLDER = "nights/2014-08-15/001"


def journal(shelf: FakeShelf, home: Path, operator: str = "chris@laptop") -> SharedJournal:
    return SharedJournal(home / "journal.jsonl", shelf, FOLDER, now=lambda: EVENING, operator=operator)


@pytest.fixture
def shelf() -> FakeShelf:
    return FakeShelf()


def test_another_machine_reads_the_whole_night_and_goes_on_with_it(shelf: FakeShelf, tmp_path: Path) -> None:
    first = journal(shelf, tmp_path / "laptop")
    first.append(Kind.BEGAN, run="r", digest="d")
    first.append(Kind.INTENT, step="watcher.stop", host="watcher")
    assert read_shared((), shelf, FOLDER) == first.events

    second = journal(shelf, tmp_path / "desk", "kim@desk")
    assert second.events == first.events == read_events(tmp_path / "desk/journal.jsonl")
    assert second.append(Kind.RESUMED, digest="d").number == 3


def test_whoever_was_ousted_loses_the_next_put_and_does_nothing_more(shelf: FakeShelf, tmp_path: Path) -> None:
    laptop = journal(shelf, tmp_path / "laptop")
    laptop.append(Kind.BEGAN, run="r", digest="d")
    desk = journal(shelf, tmp_path / "desk", "kim@desk")
    desk.append(Kind.RESUMED, digest="d")

    for _ in range(2):
        with pytest.raises(OustedError, match="kim@desk since 2014-08-15 21:00:00 UTC goes on") as ousted:
            laptop.append(Kind.INTENT, step="archiving.run", host="debug")
    assert ousted.value.exit_code is ExitCode.LOCKED
    assert [event.kind for event in read_events(tmp_path / "laptop/journal.jsonl")] == [Kind.BEGAN]
    assert desk.append(Kind.ENDED).number == 3


@pytest.mark.parametrize("kept", [True, False])
def test_an_event_of_which_nobody_knows_whether_it_was_kept_is_kept_first(
    shelf: FakeShelf, tmp_path: Path, kept: bool
) -> None:
    unsure = journal(shelf, tmp_path)
    unsure.append(Kind.BEGAN, run="r", digest="d")
    shelf.fails[f"{FOLDER}/000002"] = kept
    with pytest.raises(CutoverError, match="503"):
        unsure.append(Kind.INTENT, step="vacuum.full", host="db-master")
    unsure.append(Kind.STOPPED, reason="the store failed")

    expected = [Kind.BEGAN, Kind.INTENT, Kind.STOPPED]
    assert [event.kind for event in unsure.events] == expected
    assert unsure.events == read_events(tmp_path / "journal.jsonl") == read_shared((), shelf, FOLDER)


def test_what_a_dead_process_put_and_did_not_write_down_here_is_fetched(shelf: FakeShelf, tmp_path: Path) -> None:
    journal(shelf, tmp_path / "laptop").append(Kind.BEGAN, run="r", digest="d")
    elsewhere = journal(shelf, tmp_path / "elsewhere")
    intent = elsewhere.append(Kind.INTENT, step="vacuum.full", host="db-master")

    assert journal(shelf, tmp_path / "laptop").events[-1] == intent
    assert read_events(tmp_path / "laptop/journal.jsonl")[-1] == intent


def test_a_file_of_another_store_is_not_gone_on_with(shelf: FakeShelf, tmp_path: Path) -> None:
    journal(shelf, tmp_path).append(Kind.BEGAN, run="r", digest="d")
    with pytest.raises(ForeignJournalError, match="has 1 events, and the store does not have them"):
        journal(FakeShelf(), tmp_path)
    other = FakeShelf()
    journal(other, tmp_path / "other").append(Kind.BEGAN, run="another", digest="d")
    with pytest.raises(ForeignJournalError):
        journal(other, tmp_path)


def test_a_missing_or_spoilt_event_is_named(shelf: FakeShelf, tmp_path: Path) -> None:
    whole = journal(shelf, tmp_path)
    for kind in (Kind.BEGAN, Kind.STOPPED, Kind.RESUMED):
        whole.append(kind, run="r", digest="d")
    spoilt = FakeShelf()
    spoilt.texts = {**shelf.texts, f"{FOLDER}/000002": "{"}
    with pytest.raises(CutoverError, match="in the store is damaged"):
        read_shared((), spoilt, FOLDER)
    del spoilt.texts[f"{FOLDER}/000002"]
    with pytest.raises(CutoverError, match="an event is missing"):
        read_shared((), spoilt, FOLDER)


def test_each_run_of_a_night_has_a_folder_of_its_own(shelf: FakeShelf) -> None:
    assert (current_folder(shelf, "2014-08-15"), next_folder(shelf, "2014-08-15")) == ("", FOLDER)
    shelf.put_new(f"{FOLDER}/000001", "an event")
    assert current_folder(shelf, "2014-08-15") == FOLDER
    assert next_folder(shelf, "2014-08-15") == "nights/2014-08-15/002"
    assert current_folder(shelf, "2014-08-22") == ""
