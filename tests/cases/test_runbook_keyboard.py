"""Keys and terminals that speak no UTF-8: a wrong key at a prompt never ends a night."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from inventory.load import ROOT
from runbooks.engine.live.console import Console
from runbooks.engine.live.operators import Operator
from runbooks.engine.live.store_journal import StoreJournal, read_store_journal
from runbooks.engine.model.journal import FileJournal, Kind, read_events
from runbooks.engine.model.ports import Choice
from tests.fakes import FakeClock, FakeObjectStore, night_plan

FOLDER = "nights/2014-08-15/001"
END = b"\x04"  # Ctrl-D
REASON = "the caf\udce9 is shut"  # byte E9 as Python hands it on where the terminal's text is no UTF-8


class Paper(io.StringIO):
    """A screen; whenever a prompt ends on it, the operator types the next line."""

    def __init__(self, keyboard: int, lines: list[bytes]) -> None:
        super().__init__()
        self._keyboard = keyboard
        self._lines = lines

    def write(self, text: str) -> int:
        if text.endswith((": ", "? ")):
            os.write(self._keyboard, self._lines.pop(0) if self._lines else END)
        return super().write(text)


@contextmanager
def operator(monkeypatch: pytest.MonkeyPatch, *lines: bytes) -> Iterator[Operator]:
    """A person at a terminal of UTF-8, who types these bytes at one prompt after the other."""
    far, near = pty.openpty()
    try:
        with open(near, encoding="utf-8") as keyboard:  # noqa: PTH123 - a descriptor
            paper = Paper(far, [*lines])
            monkeypatch.setattr(sys, "stdin", keyboard)
            monkeypatch.setattr(sys, "stdout", paper)
            yield Operator(Console(clock=FakeClock(), file=paper))
    finally:
        os.close(far)


# An é typed and deleted again, where the terminal does not know that it is two bytes, leaves the first.
@pytest.mark.parametrize("wrong", [b"\xe9\n", b"\xc3d\n"], ids=["Latin-1", "half a letter"])
def test_a_wrong_key_at_a_prompt_is_no_answer_and_the_question_comes_again(
    monkeypatch: pytest.MonkeyPatch, wrong: bytes
) -> None:
    step = night_plan().step("watcher.stop")

    with operator(monkeypatch, wrong, b"a\n") as person:
        assert person.perform(step, step.tasks[0], "") is Choice.ABORT


def test_a_reason_with_a_wrong_key_is_taken_or_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    step = night_plan().step("watcher.stop")

    with operator(monkeypatch, b"the caf\xe9 is shut\n", b"the coffee bar is shut\n") as person:
        reason = person.reason(step, step.tasks[0])

    assert reason.startswith("the c")
    assert reason.encode().decode() == reason


def test_a_journal_keeps_text_that_is_not_utf_8_as_well_as_possible(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    journal = FileJournal(path, now=FakeClock().now, operator="chris@laptop")

    journal.append(Kind.RESULT, step="watcher.stop", host="watcher", outcome="skipped", proof=REASON)

    (event,) = read_events(path)
    assert event.data["proof"].startswith("the caf")


class StrictStore(FakeObjectStore):
    """An object store that takes UTF-8 and nothing else, as S3's library does."""

    def put_new(self, name: str, text: str) -> bool:
        text.encode()
        return super().put_new(name, text)


def test_store_and_file_keep_the_same_of_text_that_is_not_utf_8(tmp_path: Path) -> None:
    path, object_store = tmp_path / "journal.jsonl", StrictStore()
    journal = StoreJournal(path, object_store, FOLDER, now=FakeClock().now, operator="chris@laptop")

    journal.append(Kind.RESULT, step="watcher.stop", host="watcher", outcome="skipped", proof=REASON)

    assert (
        read_store_journal(read_events(path), object_store, FOLDER)
        == read_store_journal((), object_store, FOLDER)
        == read_events(path)
    )
    assert len(read_events(path)) == 1


def test_a_terminal_without_utf_8_is_written_to_as_well_as_possible_or_refused_at_once(tmp_path: Path) -> None:
    variables = {**os.environ, "PYTHONIOENCODING": "latin-1", "REHEARSAL_HOME": str(tmp_path)}
    words = [sys.executable, "-m", "invoke", "cutover.plan", "--date=2014-08-15"]

    ended = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, check=False)

    said = (ended.stdout + ended.stderr).decode("latin-1")
    assert ended.returncode in (0, 2), said
    assert "UnicodeEncodeError" not in said
