"""The operator's terminal as a keyboard: no echo into a live table, no type-ahead before a prompt."""

from __future__ import annotations

import sys
import termios
from collections.abc import Iterator
from contextlib import contextmanager, suppress


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


def flush_type_ahead() -> None:
    """Discard what was typed so far."""
    with suppress(termios.error, OSError, ValueError):  # no terminal: nothing was typed ahead
        termios.tcflush(sys.stdin, termios.TCIFLUSH)
