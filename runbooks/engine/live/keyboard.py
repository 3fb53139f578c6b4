"""The operator's terminal as a keyboard: no echo into a live table, no type-ahead before a prompt."""

from __future__ import annotations

import signal
import sys
import termios
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TextIO


@contextmanager
def silent_keyboard() -> Iterator[None]:
    """Turn off the terminal's echo within the block: it would tear a live table apart. Ctrl-C still works."""
    try:
        before = termios.tcgetattr(sys.stdin)
    except (termios.error, OSError, ValueError):  # no terminal
        yield
        return
    silent = [*before]
    silent[3] &= ~termios.ECHO
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


@contextmanager
def shown_again(prompt: str) -> Iterator[None]:
    """Within the block, print the prompt again whenever the terminal comes back: after Ctrl-Z and fg it shows none."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def show(number: int, frame: FrameType | None) -> None:
        sys.stdout.write(prompt)
        sys.stdout.flush()

    before = signal.signal(signal.SIGCONT, show)
    try:
        yield
    finally:
        signal.signal(signal.SIGCONT, before or signal.SIG_DFL)


def any_byte_is_read() -> None:
    """Let a byte that is no text in the terminal's encoding be read as a wrong key, and not as an error."""
    _take_all(sys.stdin)


def any_text_is_written() -> None:
    """Let a character that the terminal's encoding lacks be written as a question mark, and not be an error."""
    for stream in (sys.stdout, sys.stderr):
        _take_all(stream)


def _take_all(stream: TextIO) -> None:
    if getattr(stream, "errors", "replace") != "replace":
        with suppress(AttributeError, OSError, ValueError):  # a test's stream, or one that is closed
            stream.reconfigure(errors="replace")  # type: ignore[attr-defined]


def flush_type_ahead() -> None:
    """Discard what was typed so far."""
    with suppress(termios.error, OSError, ValueError):  # no terminal: nothing was typed ahead
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
