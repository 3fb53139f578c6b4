"""A night's journal that several machines share: one resumes it, the others read, and an ousted run stops."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from errors import CutoverError, ExitCode
from runbooks.engine.live.store_journal import (
    ForeignJournalError,
    OustedError,
    StoreJournal,
    current_folder,
    next_folder,
    read_store_journal,
)
from runbooks.engine.model.journal import Kind, read_events
from tests.fakes import EVENING, FakeObjectStore

FOLDER = "nights/2014-08-15/001"


def journal(object_store: FakeObjectStore, home: Path, operator: str = "chris@laptop") -> StoreJournal:
    return StoreJournal(home / "journal.jsonl", object_store, FOLDER, now=lambda: EVENING, operator=operator)


@pytest.fixture
def object_store() -> FakeObjectStore:
    return FakeObjectStore()


def test_another_machine_reads_the_whole_night_and_resumes_it(object_store: FakeObjectStore, tmp_path: Path) -> None:
    first = journal(object_store, tmp_path / "laptop")
    first.append(Kind.BEGAN, run="r", digest="d")
    first.append(Kind.INTENT, step="watcher.stop", host="watcher")
    assert read_store_journal((), object_store, FOLDER) == first.events

    second = journal(object_store, tmp_path / "desk", "kim@desk")
    assert second.events == first.events == read_events(tmp_path / "desk/journal.jsonl")
    assert second.append(Kind.RESUMED, digest="d").number == 3


def test_an_ousted_run_loses_the_next_put_and_does_nothing_more(object_store: FakeObjectStore, tmp_path: Path) -> None:
    laptop = journal(object_store, tmp_path / "laptop")
    laptop.append(Kind.BEGAN, run="r", digest="d")
    desk = journal(object_store, tmp_path / "desk", "kim@desk")
    desk.append(Kind.RESUMED, digest="d")

    for _ in range(2):
        with pytest.raises(OustedError, match="kim@desk since 2014-08-15 21:00:00 UTC continues the night") as ousted:
            laptop.append(Kind.INTENT, step="archiving.run", host="debug")
    assert ousted.value.exit_code is ExitCode.LOCKED
    assert [event.kind for event in read_events(tmp_path / "laptop/journal.jsonl")] == [Kind.BEGAN]
    assert desk.append(Kind.ENDED).number == 3


@pytest.mark.parametrize("kept", [True, False])
def test_an_event_of_unknown_fate_is_stored_first(object_store: FakeObjectStore, tmp_path: Path, kept: bool) -> None:
    unsure = journal(object_store, tmp_path)
    unsure.append(Kind.BEGAN, run="r", digest="d")
    object_store.fails[f"{FOLDER}/000002"] = kept
    with pytest.raises(CutoverError, match="503"):
        unsure.append(Kind.INTENT, step="vacuum.full", host="db-master")
    unsure.append(Kind.STOPPED, reason="the store failed")

    expected = [Kind.BEGAN, Kind.INTENT, Kind.STOPPED]
    assert [event.kind for event in unsure.events] == expected
    assert unsure.events == read_events(tmp_path / "journal.jsonl") == read_store_journal((), object_store, FOLDER)


def test_an_event_that_a_dead_process_stored_but_did_not_write_locally_is_fetched(
    object_store: FakeObjectStore, tmp_path: Path
) -> None:
    journal(object_store, tmp_path / "laptop").append(Kind.BEGAN, run="r", digest="d")
    elsewhere = journal(object_store, tmp_path / "elsewhere")
    intent = elsewhere.append(Kind.INTENT, step="vacuum.full", host="db-master")

    assert journal(object_store, tmp_path / "laptop").events[-1] == intent
    assert read_events(tmp_path / "laptop/journal.jsonl")[-1] == intent


def test_a_file_of_another_store_is_not_resumed(object_store: FakeObjectStore, tmp_path: Path) -> None:
    journal(object_store, tmp_path).append(Kind.BEGAN, run="r", digest="d")
    with pytest.raises(ForeignJournalError, match="has 1 event that the store does not have"):
        journal(FakeObjectStore(), tmp_path)
    other = FakeObjectStore()
    journal(other, tmp_path / "other").append(Kind.BEGAN, run="another", digest="d")
    with pytest.raises(ForeignJournalError):
        journal(other, tmp_path)


def test_a_missing_or_corrupt_event_is_named(object_store: FakeObjectStore, tmp_path: Path) -> None:
    whole = journal(object_store, tmp_path)
    for kind in (Kind.BEGAN, Kind.STOPPED, Kind.RESUMED):
        whole.append(kind, run="r", digest="d")
    spoilt = FakeObjectStore()
    spoilt.texts = {**object_store.texts, f"{FOLDER}/000002": "{"}
    with pytest.raises(CutoverError, match="in the store is damaged"):
        read_store_journal((), spoilt, FOLDER)
    del spoilt.texts[f"{FOLDER}/000002"]
    with pytest.raises(CutoverError, match="an event is missing"):
        read_store_journal((), spoilt, FOLDER)


def test_each_run_of_a_night_has_a_folder_of_its_own(object_store: FakeObjectStore) -> None:
    assert (current_folder(object_store, "2014-08-15"), next_folder(object_store, "2014-08-15")) == ("", FOLDER)
    object_store.put_new(f"{FOLDER}/000001", "an event")
    assert current_folder(object_store, "2014-08-15") == FOLDER
    assert next_folder(object_store, "2014-08-15") == "nights/2014-08-15/002"
    assert current_folder(object_store, "2014-08-22") == ""


@pytest.mark.parametrize(
    "rewrite",
    [
        lambda texts: texts.pop(f"{FOLDER}/000002"),
        lambda texts: texts.update({f"{FOLDER}/000002": texts[f"{FOLDER}/000002"].replace("chris", "kim")}),
    ],
    ids=["removed", "changed"],
)
def test_a_last_event_that_was_removed_or_changed_after_the_run_is_named(
    object_store: FakeObjectStore, tmp_path: Path, rewrite: Callable[[dict[str, str]], object]
) -> None:
    whole = journal(object_store, tmp_path)
    for kind in (Kind.BEGAN, Kind.STOPPED):
        whole.append(kind, run="r", digest="d")
        whole.store_head()
    assert len(read_store_journal((), object_store, FOLDER)) == 2
    rewrite(object_store.texts)

    with pytest.raises(CutoverError, match="its event 2 is missing or was changed after a run had ended with it"):
        read_store_journal((), object_store, FOLDER)
