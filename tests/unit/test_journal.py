"""The journal: numbered, on disk before the act, whole after a crash, and without secrets."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from errors import CutoverError
from runbooks.engine.history import Chronicle, read_history
from runbooks.engine.journal import FileJournal, Journal, Kind, read_events
from runbooks.engine.step import Outcome

NOW = datetime(2014, 8, 15, 22, 0, tzinfo=UTC)


def on_disk(path: Path) -> FileJournal:
    return FileJournal(path, now=lambda: NOW, operator="chris@laptop")


@pytest.fixture(params=["memory", "file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    if request.param == "memory":
        return Journal(now=lambda: NOW, operator="chris@laptop")
    return on_disk(tmp_path / "deep" / "journal.jsonl")


def test_events_are_numbered_and_say_who_and_when(journal: Journal) -> None:
    journal.append(Kind.BEGAN, run="r", digest="d")
    event = journal.append(Kind.INTENT, step="backups.dump", host="db-master", what="by hand")
    assert (event.number, event.at, event.operator) == (2, NOW, "chris@laptop")
    assert journal.events[1] == event


def test_threads_share_one_row_of_numbers(journal: Journal) -> None:
    threads = [
        threading.Thread(target=lambda: [journal.append(Kind.ANSWER, answer="x") for _ in range(20)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [event.number for event in journal.events] == list(range(1, 81))


def test_another_process_reads_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    first = on_disk(path)
    first.append(Kind.BEGAN, run="r", digest="d")
    first.append(Kind.RESULT, step="watcher.stop", host="watcher", outcome="done", proof="läuft nicht — 100 %")
    assert read_events(path) == first.events
    second = on_disk(path)
    assert second.append(Kind.ENDED).number == 3
    assert path.stat().st_mode & 0o077 == 0


def test_an_event_is_on_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    on_disk(tmp_path / "journal.jsonl").append(Kind.ENDED)
    assert len(synced) == 2  # the file, and the folder it is new in


def test_a_torn_last_line_was_never_an_event(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    on_disk(path).append(Kind.BEGAN, run="r", digest="d")
    path.write_bytes(path.read_bytes() + b'{"number": 2, "at": "2014-')
    journal = on_disk(path)
    journal.append(Kind.ENDED)
    assert [event.kind for event in read_events(path)] == [Kind.BEGAN, Kind.ENDED]


@pytest.mark.parametrize("line", ["nonsense", '{"number": 9}', "[]"])
def test_a_damaged_journal_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "journal.jsonl"
    on_disk(path).append(Kind.BEGAN, run="r", digest="d")
    path.write_text(f"{line}\n{path.read_text()}")
    with pytest.raises(CutoverError, match="is damaged"):
        read_events(path)


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = on_disk(path)
    for _ in range(3):
        journal.append(Kind.ENDED)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    with pytest.raises(CutoverError, match="an event is missing"):
        read_events(path)


def test_a_full_disk_is_an_error_and_not_an_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = on_disk(tmp_path / "journal.jsonl")

    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[:10]))
    with pytest.raises(CutoverError, match="No space left"):
        journal.append(Kind.ENDED)
    assert journal.events == ()
    monkeypatch.undo()
    journal.append(Kind.ENDED)
    assert [event.number for event in read_events(tmp_path / "journal.jsonl")] == [1]


def test_history_tells_what_became_of_each_host(journal: Journal) -> None:
    journal.append(Kind.BEGAN, run="r1", digest="d")
    journal.append(Kind.INTENT, step="s", host="a", what="x")
    journal.append(Kind.INTENT, step="s", host="b", what="x")
    journal.append(Kind.RESULT, step="s", host="a", outcome="failed", proof="no", over=True)
    history = read_history(journal.events)
    assert (history.run, history.began) == ("r1", NOW)
    assert history.past("s", "a").outcome is Outcome.FAILED
    assert history.past("s", "a").attempt == 2  # the first is over
    assert history.past("s", "b").outcome is Outcome.RUNNING
    assert history.past("s", "b").attempt == 1  # may still be at work: the next attaches to it
    assert history.past("s", "c").outcome is Outcome.PENDING


def test_a_chronicle_tells_what_the_whole_journal_tells_and_what_it_told_stays(journal: Journal) -> None:
    chronicle, told = Chronicle(), []
    for outcome in ("failed", "unknown", "done"):
        journal.append(Kind.INTENT, step="s", host="a", what="x")
        journal.append(Kind.RESULT, step="s", host="a", outcome=outcome, proof="", over=True)
        told.append(chronicle.of(journal.events))
        assert chronicle.of(journal.events) == read_history(journal.events)
    assert [history.past("s", "a").attempt for history in told] == [2, 3, 4]
