"""Limit the speed of a monthly deletion while the product is live: rows per second, standby lag, and time."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from archiver.postgres.session import Session
from errors import UsageError

LOOK_AGAIN = 0.5  # seconds between two checks of the standbys


@dataclass(kw_only=True)
class Throttle:
    """The limits of a run; `stop` may be set at any time to end it."""

    batch: int = 1000  # rows deleted in one transaction; a larger tree is a batch of its own
    rate: int | None = None  # rows per second; None: unlimited
    max_lag: int | None = None  # bytes of WAL that a standby may be behind; None: not checked
    seconds: float | None = None  # how long the run may last; None: until all is deleted
    stop: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)
    _free: float = 0.0  # time from which the rate allows the next rows

    @property
    def over(self) -> bool:
        """True if nothing new may be started."""
        return self.stop.is_set() or self.out_of_time

    @property
    def out_of_time(self) -> bool:
        """True if the run has used up its time."""
        return self.seconds is not None and time.monotonic() - self.began >= self.seconds

    def deleted(self, rows: int) -> None:
        """Record that this number of rows was deleted just now."""
        if self.rate:
            self._free = max(self._free, time.monotonic()) + rows / self.rate

    def wait(self, session: Session) -> None:
        """Wait until the rate allows the next rows and no standby lags, at most until the run's end."""
        while not self.over and (left := self._free - time.monotonic()) > 0:
            self.stop.wait(min(left, LOOK_AGAIN))
        while not self.over and self.max_lag is not None and lag(session) > self.max_lag:
            self.stop.wait(LOOK_AGAIN)


def lag(session: Session) -> int:
    """Return the bytes of WAL not yet replayed by the standby that is furthest behind; 0 without a standby.

    Bytes also reveal a standby that has stopped: pg_stat_replication keeps its last time lag. Raises UsageError if the
    role may not read them.
    """
    standbys, seen, behind, role = session.row(_LAG, doing="reading the standbys' lag")
    if seen < standbys:
        raise UsageError(
            f"--max-lag: the role may not read how far the standbys of {session.where} are behind.",
            hint=f"GRANT pg_monitor TO {role};",
        )
    return int(behind)


_LAG = """
SELECT count(*), count(replay_lsn), coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)), 0)::bigint,
       quote_ident(current_user)
  FROM pg_stat_replication
"""
