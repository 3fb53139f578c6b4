"""The real clock, whose waits end when the run is interrupted."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from errors import UnknownError
from runbooks.engine.model.ports import Clock, OnLine
from runbooks.engine.model.step import Verdict

FIRST_PAUSE = timedelta(milliseconds=100)
LONGEST_PAUSE = timedelta(seconds=5)


class Interrupted(UnknownError):
    """The run was interrupted while it waited."""


class SystemClock:
    """This machine's time."""

    def __init__(self) -> None:
        self._interrupted = threading.Event()

    def now(self) -> datetime:
        """The moment, in UTC."""
        return datetime.now(UTC)

    def ticks(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    def wait(self, pause: timedelta) -> None:
        """Waits; raises Interrupted as soon as the run is."""
        if self._interrupted.wait(pause.total_seconds()):
            raise Interrupted("Interrupted while it was waiting; nobody knows its outcome.")

    def interrupt(self) -> None:
        """Ends every wait, now and later."""
        self._interrupted.set()


class DryRunClock(SystemClock):
    """The time of a dry run: as if whatever it shows had taken as long as it is estimated to."""

    def __init__(self, shown: Callable[[], timedelta]) -> None:
        super().__init__()
        self._shown = shown

    def now(self) -> datetime:
        """The moment, in UTC, at which it would be done."""
        return super().now() + self._shown()


def proven(verdict: Verdict) -> bool:
    """Whether there is nothing left to wait for."""
    return verdict.holds


def await_proof(
    look: Callable[[], Verdict],
    clock: Clock,
    patience: timedelta,
    on_line: OnLine,
    *,
    enough: Callable[[Verdict], bool] = proven,
) -> Verdict:
    """Looks until it is enough or the patience is over; the last verdict. Looks at least once."""
    deadline = clock.ticks() + patience.total_seconds()
    pause = timedelta()
    while True:
        clock.wait(pause)  # also how an interrupted run finds out before its first look
        verdict = look()
        if enough(verdict) or clock.ticks() >= deadline:
            return verdict
        on_line(verdict.proof)
        pause = min(max(pause * 1.5, FIRST_PAUSE), LONGEST_PAUSE)
