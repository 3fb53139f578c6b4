"""The journal: numbered, on disk before the act, whole after a crash, and without secrets."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from errors import CutoverError
from runbooks import cutover
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.store_journal import OustedError, StoreJournal
from runbooks.engine.model.history import HistoryCache, read_history
from runbooks.engine.model.journal import FileJournal, Journal, Kind, NewerJournalError, read_events
from runbooks.engine.model.outcome import Outcome
from runbooks.night import files
from runbooks.night import status as night_status
from tests.fakes import NIGHT, FakeObjectStore, unreachable
from tests.operated_night import operated_night

NOW = datetime(2014, 8, 15, 22, 0, tzinfo=UTC)


def on_disk(path: Path) -> FileJournal:
    return FileJournal(path, now=lambda: NOW, operator="chris@laptop")


@pytest.fixture(params=["memory", "file"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Journal:
    if request.param == "memory":
        return Journal(now=lambda: NOW, operator="chris@laptop")
    return on_disk(tmp_path / "deep" / "journal.jsonl")


def test_events_are_numbered_and_name_operator_and_time(journal: Journal) -> None:
    journal.append(Kind.BEGAN, run="r", digest="d")
    event = journal.append(Kind.INTENT, step="backups.dump", host="db-master", what="by hand")
    assert (event.number, event.at, event.operator) == (2, NOW, "chris@laptop")
    assert journal.events[1] == event


def test_threads_share_one_sequence_of_numbers(journal: Journal) -> None:
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


NEWER = (
    '{"number": 2, "at": "2014-08-15T22:00:00+00:00", "kind": "paused", "operator": "kim@desk", "step": "", "host": "",'
    ' "data": {"for": "tea"}}'
)
SAID = (
    "Reading the night's journal refused: its event 2, of kim@desk, is of the kind 'paused', which this version does "
    "not know. A newer version of this tool wrote it."
)


def test_a_kind_that_only_a_newer_version_knows_is_refused_in_a_sentence_and_the_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    on_disk(path).append(Kind.BEGAN, run="r", digest="d")
    path.write_text(f'{path.read_text()}{NEWER}\n{{"number": 3, "at": ')  # torn, too: that would be cut off
    before = path.read_bytes()

    for read in (read_events, on_disk):
        with pytest.raises(NewerJournalError) as refused:
            read(path)
        assert (str(refused.value), refused.value.hint) == (
            f"{SAID} It lies in {path}.",
            "Use that version of the tool for this night.",
        )
    assert path.read_bytes() == before


@pytest.mark.parametrize("where", ["on this machine", "in the store"])
def test_a_night_that_a_newer_version_resumed_is_neither_shown_nor_resumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, where: str
) -> None:
    """Its journal, the store's copy and the world stay as they are; what is a newer version's is no damage."""
    operated = operated_night(monkeypatch, tmp_path)
    operated.run_until("watcher: system-watcher stop", unreachable)
    path, object_store = (
        files.Files(operated.environment, "2014-08-15").journal,
        files.object_store_of(operated.environment),
    )
    number = len(operated.events) + 1
    newer = NEWER.replace('"number": 2', f'"number": {number}')
    object_store.put_new(f"nights/2014-08-15/001/{number:06}", newer)
    if where == "on this machine":
        path.write_text(f"{path.read_text()}{newer}\n")

    def kept() -> tuple[bytes, list[tuple[str, str | None]], list[str]]:
        texts = [(name, object_store.get(name)) for name in object_store.names("nights/")]
        return path.read_bytes(), texts, list(operated.fake_night.production.acts)

    def status() -> None:
        night_status.show_status(operated.environment, operated.fake_night.plan)

    def follow() -> None:
        look = partial(files.newer, object_store, "2014-08-15")
        night_status.follow(look, lambda events, shown: None, SystemClock(), pytest.fail)

    def find_plan() -> None:  # what each command on a night that has begun does first
        cutover.plan_at(operated.environment, NIGHT, "")

    before = kept()
    for act in (status, follow, find_plan, operated.resume, operated.run, operated.pay, operated.approve):
        with pytest.raises(NewerJournalError, match="is of the kind 'paused', which this version does not know"):
            act()
    assert isinstance(operated.abort(), NewerJournalError)
    assert kept() == before


def test_a_run_ousted_by_a_newer_version_is_notified_and_stops(tmp_path: Path) -> None:
    object_store = FakeObjectStore()
    journal = StoreJournal(
        tmp_path / "journal.jsonl", object_store, "nights/d/001", now=lambda: NOW, operator="chris@laptop"
    )
    journal.append(Kind.BEGAN, run="r", digest="d")
    object_store.put_new("nights/d/001/000002", NEWER)

    with pytest.raises(OustedError, match="another operator continues the night"):
        journal.append(Kind.ENDED)


def test_a_gap_in_the_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = on_disk(path)
    for _ in range(3):
        journal.append(Kind.ENDED)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text(lines[0] + lines[2])
    with pytest.raises(CutoverError, match="an event is missing"):
        read_events(path)


def lines_of(path: Path, kinds: Sequence[Kind] = (Kind.BEGAN, Kind.RESUMED, Kind.STOPPED, Kind.ENDED)) -> list[str]:
    """The lines of a journal of some events."""
    journal = on_disk(path)
    for kind in kinds:
        journal.append(kind, run="r", digest="d")
    return path.read_text().splitlines()


def renumbered(line: str, number: int) -> str:
    return json.dumps({**json.loads(line), "number": number}, ensure_ascii=False)


REWRITTEN: dict[str, tuple[Callable[[list[str]], list[str]], str]] = {
    "changed": (lambda lines: [lines[0], lines[1].replace("chris", "kim"), *lines[2:]], "event 2, of kim@laptop"),
    "the first": (lambda lines: [lines[0].replace("chris", "kim"), *lines[1:]], "event 1, of kim@laptop"),
    "removed": (
        lambda lines: [lines[0], *(renumbered(line, number) for number, line in enumerate(lines[2:], 2))],
        "event 1, of chris@laptop",
    ),
    "put in": (
        lambda lines: [*lines[:2], *(renumbered(line, number) for number, line in enumerate(lines[1:], 3))],
        "event 2, of chris@laptop",
    ),
    "digests taken out": (
        lambda lines: [*lines[:2], *(line.rpartition(', "before"')[0] + "}" for line in lines[2:])],
        "event 2, of chris@laptop",
    ),
}


@pytest.mark.parametrize("how", REWRITTEN)
def test_a_rewritten_journal_is_refused_and_the_first_event_in_question_named(tmp_path: Path, how: str) -> None:
    path, (rewrite, named) = tmp_path / "journal.jsonl", REWRITTEN[how]
    path.write_text("".join(f"{line}\n" for line in rewrite(lines_of(path))))

    with pytest.raises(CutoverError, match=rf"damaged: {named} at .*, is not the one that event \d was written after"):
        read_events(path)


def test_a_night_begun_by_a_version_without_digests_is_resumed_and_chained_from_there(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    old = [line.rpartition(', "before"')[0] + "}" for line in lines_of(path, [Kind.BEGAN, Kind.STOPPED])]
    path.write_text("".join(f"{line}\n" for line in old))

    lines = lines_of(path, [Kind.RESUMED, Kind.ENDED])

    assert lines[:2] == old
    assert len(read_events(path)) == 4
    path.write_text(path.read_text().replace('"stopped"', '"ended"'))
    with pytest.raises(CutoverError, match="event 2, of chris@laptop"):
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


def test_history_has_the_outcome_of_each_host(journal: Journal) -> None:
    journal.append(Kind.BEGAN, run="r1", digest="d")
    journal.append(Kind.INTENT, step="s", host="a", what="x")
    journal.append(Kind.INTENT, step="s", host="b", what="x")
    journal.append(Kind.RESULT, step="s", host="a", outcome="failed", proof="no", over=True)
    history = read_history(journal.events)
    assert (history.run, history.began) == ("r1", NOW)
    assert history.task_state("s", "a").outcome is Outcome.FAILED
    assert history.task_state("s", "a").attempt == 2  # the first is over
    assert history.task_state("s", "b").outcome is Outcome.RUNNING
    assert history.task_state("s", "b").attempt == 1  # may still be at work: the next attaches to it
    assert history.task_state("s", "c").outcome is Outcome.PENDING


def test_a_history_cache_equals_the_whole_journal_and_its_results_do_not_change(journal: Journal) -> None:
    history_cache, told = HistoryCache(), []
    for outcome in ("failed", "unknown", "done"):
        journal.append(Kind.INTENT, step="s", host="a", what="x")
        journal.append(Kind.RESULT, step="s", host="a", outcome=outcome, proof="", over=True)
        told.append(history_cache.of(journal.events))
        assert history_cache.of(journal.events) == read_history(journal.events)
    assert [history.task_state("s", "a").attempt for history in told] == [2, 3, 4]
