"""When a run over many will be done, by what it has done and what is left. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

# Seconds that a row takes one worker until it is verified, and in the end to go: measured (docs/decisions.md), and used
# for as long as a run has no pace of its own.
PREPARE, GIVE_BACK = 8.5e-6, 1.6e-6
TRUSTED = 0.05  # of the rows: from here on the run's own pace is better than a measured one


@dataclass(frozen=True, kw_only=True)
class Eta:
    """A run of so many rows and workers."""

    rows: int  # expected in all
    workers: int

    def left(self, elapsed: timedelta, done: int) -> timedelta:
        """How long it will still take when so many rows were verified in this time."""
        missing = max(0, self.rows - done)
        each = PREPARE / self.workers
        if done > TRUSTED * self.rows:
            each = elapsed.total_seconds() / done
        return timedelta(seconds=missing * each + max(self.rows, done) * GIVE_BACK)

    @property
    def deletion_time(self) -> timedelta:
        """How long it takes in the end to give the space back."""
        return timedelta(seconds=self.rows * GIVE_BACK)
