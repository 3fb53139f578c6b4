"""Ctrl-C: the first stops the run, which then reports its state; a second exits at once, even if something hangs."""

from __future__ import annotations

import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from errors import ExitCode

SHOW_CURSOR = "\x1b[?25h"


@contextmanager
def second_interrupt_exits() -> Iterator[None]:
    """Make a second Ctrl-C exit at once, within the block and, if it was interrupted, until the process ends.

    Nothing is lost: the journal is on disk before each act, and no job ends with its terminal.
    """
    restore = _terminal()

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        restore()
        os._exit(ExitCode.INTERRUPTED)

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        signal.signal(signal.SIGINT, leave)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGINT) is interrupt:
            signal.signal(signal.SIGINT, before)


def _terminal() -> Callable[[], None]:
    """Return a function that restores the terminal's current settings, which a live table may change."""
    try:
        settings = termios.tcgetattr(sys.stdin)
    except (termios.error, OSError, ValueError):  # no terminal
        return lambda: None

    def restore() -> None:
        with suppress(termios.error, OSError):
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, settings)
            os.write(sys.stdout.fileno(), SHOW_CURSOR.encode())

    return restore
