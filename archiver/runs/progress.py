"""The progress of a run over many items, and the time that is left by its own speed. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

EVERY = 10.0  # seconds between two reports


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The progress of a run."""

    what: str  # what is counted: schools, archives, verified
    done: int
    total: int
    rows: int
    size: int  # bytes
    elapsed: timedelta
    left: timedelta | None  # estimated; None: unknown

    @property
    def seconds(self) -> float:
        """Seconds since the run began, for a rate: never less than one."""
        return max(self.elapsed.total_seconds(), 1)


OnProgress = Callable[[Progress], None]


def remaining(elapsed: timedelta, done: float, total: float) -> timedelta | None:
    """Return the time left if the rest takes as long as what was done; None before anything was."""
    return elapsed * (max(0, total - done) / done) if done else None


@dataclass(kw_only=True)
class Tally:
    """A count of the items that are done, some of which may weigh more than others."""

    what: str
    total: int
    weight: int = 0  # of all items; 0: each weighs the same
    done: int = 0
    done_weight: int = 0
    rows: int = 0
    size: int = 0

    def count(self, *, rows: int, size: int, weight: int) -> None:
        """Count an item that is done, or failed."""
        self.done += 1
        self.done_weight += weight
        self.rows += rows
        self.size += size

    def progress(self, elapsed: timedelta) -> Progress:
        """Return the progress after that time; the time left goes by the weights, if there are any."""
        done, total = (self.done_weight, self.weight) if self.weight else (self.done, self.total)
        return Progress(
            what=self.what,
            done=self.done,
            total=self.total,
            rows=self.rows,
            size=self.size,
            elapsed=elapsed,
            left=remaining(elapsed, done, total),
        )
