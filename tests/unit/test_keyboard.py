"""A prompt takes any byte, and is shown again when the terminal comes back; a terminal takes any character."""

from __future__ import annotations

import io
import signal
import sys
import threading
from pathlib import Path

import pytest

from runbooks.engine.live.console import Console
from runbooks.engine.live.keyboard import any_byte_is_read, any_text_is_written
from runbooks.engine.model.actions import ProbeOutput
from tests.fakes import FakeClock
from tests.operated_night import OperatedNight, operated_night


def test_after_fg_the_prompt_is_shown_again(capsys: pytest.CaptureFixture[str]) -> None:
    def read(prompt: str) -> str:
        signal.raise_signal(signal.SIGCONT)
        return "y"

    before = signal.getsignal(signal.SIGCONT)
    assert Console(clock=FakeClock(), read=read).typed("  Begin? ") == "y"
    assert capsys.readouterr().out == "  Begin? "
    assert signal.getsignal(signal.SIGCONT) == before


def test_a_prompt_in_another_thread_is_asked_all_the_same() -> None:
    heard = list[str]()
    console = Console(clock=FakeClock(), read=lambda prompt: "y")
    thread = threading.Thread(target=lambda: heard.append(console.typed("? ")))
    thread.start()
    thread.join(10)
    assert heard == ["y"]


@pytest.mark.parametrize("typed", [b"\xe9\n", b"\xff\xfe\n", b"\xc3(\n", b"\x00\xed\xa0\x80\n"])
def test_any_byte_is_read_as_text(monkeypatch: pytest.MonkeyPatch, typed: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(typed), encoding="utf-8"))
    any_byte_is_read()
    sys.stdin.readline().encode()


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp1252"])
def test_any_character_is_written(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    paper = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(paper, encoding=encoding))
    any_text_is_written()
    Console(clock=FakeClock(), file=sys.stdout).say("✓ done …")
    sys.stdout.flush()
    assert b"? done" in paper.getvalue()


def test_streams_that_can_not_be_set_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    closed.detach()
    for stream in (io.StringIO(), closed, None):
        monkeypatch.setattr(sys, "stdout", stream)
        any_text_is_written()


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OperatedNight:
    return operated_night(monkeypatch, tmp_path)


def test_ctrl_c_at_a_prompt_says_that_no_command_was_running(operated: OperatedNight) -> None:
    night = operated.fake_night
    night.production.broken["watcher: system-watcher stop"] = ProbeOutput

    def interrupt(*question: object) -> None:
        raise KeyboardInterrupt

    night.person.choose = interrupt  # type: ignore[assignment]
    with pytest.raises(KeyboardInterrupt):
        operated.run()
    assert "Interrupted. No command was running." in " ".join(operated.out.getvalue().split())
