"""The estimated time of a bulk run's end, from its progress so far. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

# Seconds per row and worker until it is verified, and to delete it at the end: measured (docs/decisions.md), and used
# until the run's own speed is known.
PREPARE, GIVE_BACK = 8.5e-6, 1.6e-6
TRUSTED = 0.05  # of the rows: from here on the run's own speed is the better estimate


@dataclass(frozen=True, kw_only=True)
class Eta:
    """A run's estimate, from its number of rows and workers."""

    rows: int  # expected in all
    workers: int

    def left(self, elapsed: timedelta, done: int) -> timedelta:
        """Return the remaining time, given that `done` rows were verified in the elapsed time."""
        missing = max(0, self.rows - done)
        each = PREPARE / self.workers
        if done > TRUSTED * self.rows:
            each = elapsed.total_seconds() / done
        return timedelta(seconds=missing * each + max(self.rows, done) * GIVE_BACK)

    @property
    def deletion_time(self) -> timedelta:
        """The time that deletion takes at the end."""
        return timedelta(seconds=self.rows * GIVE_BACK)
