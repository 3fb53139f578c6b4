"""Ctrl-C, SIGTERM or a closed terminal stops the run, which then reports its state; a second Ctrl-C exits at once."""

from __future__ import annotations

import os
import signal
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from errors import ExitCode

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SHOW_CURSOR = "\x1b[?25h"


class Interruption:
    """The moment at which a run was interrupted; none as long as it was not."""

    def __init__(self) -> None:
        self._came: float | None = None

    def begin(self) -> None:
        """Keep this moment."""
        self._came = time.monotonic()

    @property
    def seconds(self) -> float:
        """The time since then; 0 if there was no interruption."""
        return 0.0 if self._came is None else time.monotonic() - self._came


@contextmanager
def second_interrupt_exits() -> Iterator[Interruption]:
    """Make a second Ctrl-C exit at once, within the block and, if it was interrupted, until the process ends.

    Nothing is lost: the journal is on disk before each act, and no job ends with its terminal. SIGTERM and SIGHUP
    interrupt as Ctrl-C does, and raise KeyboardInterrupt with the signal's name; unless they are ignored, as by nohup.
    It is raised once, so what journals the stop can't be interrupted a second time.
    """
    restore, interruption = _terminal(), Interruption()

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        restore()
        os._exit(ExitCode.INTERRUPTED)

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        for each in before:  # a closed terminal sends SIGHUP more than once, and the first is still being journaled
            signal.signal(each, leave if each is signal.SIGINT else signal.SIG_IGN)
        interruption.begin()
        raise KeyboardInterrupt(*([] if number == signal.SIGINT else [signal.Signals(number).name]))

    handlers = {each: signal.getsignal(each) for each in ENDING}
    before = {
        each: handler
        for each, handler in handlers.items()
        if each is signal.SIGINT or handler is not signal.SIG_IGN  # a shell ignores it for what runs in the background
    }
    for each in before:
        signal.signal(each, interrupt)
    try:
        yield interruption
    finally:
        for each, handler in before.items():
            if signal.getsignal(each) is interrupt:
                signal.signal(each, handler)


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
