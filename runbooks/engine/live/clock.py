"""The system clock: its waits end when the run is interrupted."""

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
        """Return the current time in UTC."""
        return datetime.now(UTC)

    def ticks(self) -> float:
        """Return monotonic seconds."""
        return time.monotonic()

    def wait(self, pause: timedelta) -> None:
        """Wait. Raises Interrupted as soon as the run is interrupted."""
        if self._interrupted.wait(pause.total_seconds()):
            raise Interrupted("Interrupted while waiting; the outcome is unknown.")

    def interrupt(self) -> None:
        """End every wait, now and later."""
        self._interrupted.set()


class DryRunClock(SystemClock):
    """The clock of a dry run: the time as if each step already printed had taken its estimate."""

    def __init__(self, estimate: Callable[[], timedelta]) -> None:
        super().__init__()
        self._estimate = estimate

    def now(self) -> datetime:
        """Return the time in UTC at which the steps so far would be done."""
        return super().now() + self._estimate()


def proven(verdict: Verdict) -> bool:
    """True if the verdict holds, so that there is nothing to wait for."""
    return verdict.holds


def await_proof(
    look: Callable[[], Verdict],
    clock: Clock,
    patience: timedelta,
    on_line: OnLine,
    *,
    enough: Callable[[Verdict], bool] = proven,
) -> Verdict:
    """Look repeatedly until `enough` or for at most `patience`; return the last verdict. Looks at least once."""
    deadline = clock.ticks() + patience.total_seconds()
    pause = timedelta()
    while True:
        clock.wait(pause)  # also ends an interrupted run before its first look
        verdict = look()
        if enough(verdict) or clock.ticks() >= deadline:
            return verdict
        on_line(verdict.proof)
        pause = min(max(pause * 1.5, FIRST_PAUSE), LONGEST_PAUSE)
