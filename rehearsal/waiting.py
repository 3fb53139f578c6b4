"""Waiting for conditions with a deadline; nothing ever sleeps for a guessed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from errors import CutoverError

T = TypeVar("T")
FIRST_PAUSE, LONGEST_PAUSE = 0.01, 0.1  # seconds between two looks


def await_condition(look: Callable[[], T | None], *, doing: str, seconds: float, hint: str = "") -> T:
    """Look repeatedly until the answer is true, and return it; CutoverError when the time is over."""
    deadline, pause = time.monotonic() + seconds, FIRST_PAUSE
    while not (answer := look()):
        if time.monotonic() > deadline:
            raise CutoverError(f"{doing} failed: not so after {seconds:g} seconds.", hint=hint)
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
    return answer
