"""How fast a month's rows go while the product is live: rows a second, standbys' lag, and when to stop."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from archiver.postgres.session import Session
from errors import UsageError

LOOK_AGAIN = 0.5  # seconds between two looks at standbys that lag


@dataclass(kw_only=True)
class Throttle:
    """A run's pace; `stop` may be set at any time, by whoever ends the run."""

    batch: int = 1000  # rows that go in one transaction; a tree that is larger goes alone
    rate: int | None = None  # rows a second; none: as fast as it goes
    max_lag: int | None = None  # bytes of WAL that a standby may be behind; none: nobody looks
    seconds: float | None = None  # how long the run may last; none: to its end
    stop: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)
    _free: float = 0.0  # when by the rate the next rows may go

    @property
    def over(self) -> bool:
        """Whether nothing new is to be begun any more."""
        return self.stop.is_set() or self.out_of_time

    @property
    def out_of_time(self) -> bool:
        """Whether the run has lasted as long as it may."""
        return self.seconds is not None and time.monotonic() - self.began >= self.seconds

    def deleted(self, rows: int) -> None:
        """Notes that so many rows went just now."""
        if self.rate:
            self._free = max(self._free, time.monotonic()) + rows / self.rate

    def wait(self, session: Session) -> None:
        """Waits until the next rows may go by the rate, and no standby lags; not beyond the run's end."""
        while not self.over and (left := self._free - time.monotonic()) > 0:
            self.stop.wait(min(left, LOOK_AGAIN))
        while not self.over and self.max_lag is not None and lag(session) > self.max_lag:
            self.stop.wait(LOOK_AGAIN)


def lag(session: Session) -> int:
    """Bytes of WAL that the standby which is furthest behind has not replayed; 0 without a standby.

    Counted in bytes, which also a standby that stands still shows: pg_stat_replication keeps its last time then.
    Raises UsageError where the role may not see it.
    """
    standbys, seen, behind = session.row(_LAG, doing="looking at the standbys")
    if seen < standbys:
        raise UsageError(
            f"--max-lag: the role may not see how far the standbys of {session.where} are.",
            hint="GRANT pg_monitor to it.",
        )
    return int(behind)


_LAG = """
SELECT count(*), count(replay_lsn), coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::bigint
  FROM pg_stat_replication
"""
