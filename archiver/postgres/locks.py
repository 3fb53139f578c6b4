"""Advisory locks of PostgreSQL, which keep runs apart; a lock ends with the session that holds it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from archiver.postgres.session import DatabaseError, Session
from errors import LockedError

EVERYTHING = "cutover"  # in each database: exclusive for a run over many tenants, shared for a run on one
WORKERS = "cutover workers"  # in master: shared by workers at a unit of a run that another process started
# PostgreSQL shows another role's sessions to members of pg_monitor only.
_UNSEEN = "a session of another role, which only a member of pg_monitor can see,"
_DISMISS_TIMEOUT, _POLL_INTERVAL = 10.0, 0.05  # seconds


@dataclass(frozen=True)
class AdvisoryLock:
    """A lock by its name, and the session that takes it."""

    session: Session
    key: str
    shared: bool = False

    @property
    def suffix(self) -> str:
        """The end of the names of PostgreSQL's functions for this kind of lock."""
        return "lock_shared" if self.shared else "lock"


@contextmanager
def held_locks(locks: Sequence[AdvisoryLock]) -> Iterator[None]:
    """Hold these locks while the block runs; raise LockedError, which names the holder, if one is taken."""
    taken: list[AdvisoryLock] = []
    try:
        for lock in locks:
            _take(lock)
            taken.append(lock)
        yield
    finally:
        for lock in reversed(taken):
            _release(lock)


def holder(session: Session, key: str) -> str | None:
    """Return the other session that holds a lock in that session's database, and since when; None if there is none."""
    row = session.row(_HOLDER, (key,), doing="asking who holds a lock")
    if row is None:
        return None
    return f"{row[0]} is at work there since {row[1]:%H:%M:%S} UTC" if row[1] else f"{_UNSEEN} is at work there"


def at_work(master: Session) -> list[str]:
    """Return the runs and workers that work on tenants now, and since when; the earliest first."""
    rows = master.rows(_AT_WORK, ([EVERYTHING, WORKERS],), doing="asking who is at work")
    return [f"{name} since {since:%H:%M:%S} UTC" if since else _UNSEEN for name, since in rows]


def dismiss_workers(master: Session) -> None:
    """End the sessions on master of workers that still work on units of a run that has ended.

    The caller holds EVERYTHING, so no such run is alive, and what its workers would write is not needed. Without
    their sessions they cannot write. Raise LockedError if a session does not end in time.
    """
    deadline = time.monotonic() + _DISMISS_TIMEOUT
    while who := holder(master, WORKERS):
        if time.monotonic() > deadline:
            raise LockedError(f"{master.where}: {who}, for a run that has ended.", hint="End it, then run this again.")
        master.rows(_DISMISS, (WORKERS,), doing="ending a worker's session")
        time.sleep(_POLL_INTERVAL)


def _take(lock: AdvisoryLock) -> None:
    session = lock.session
    if not session.ownership.take(lock.key, f"pg_try_advisory_{lock.suffix}"):
        who = holder(session, lock.key) or "another session was at work there just now"
        raise LockedError(f"{session.where}: {who}.", hint="Wait, then run this again.")


def _release(lock: AdvisoryLock) -> None:
    """Release a lock; a broken session has lost it already."""
    with suppress(DatabaseError):
        lock.session.ownership.release(lock.key, f"pg_advisory_un{lock.suffix}")


_AT_WORK = """
SELECT DISTINCT a.application_name, a.backend_start
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
  JOIN unnest(%s::text[]) w (key) ON ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(w.key, 0)
 WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY a.backend_start
"""
_OTHERS = """
  FROM pg_locks l JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'advisory' AND l.granted AND l.pid <> pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended(%s, 0)
"""
_HOLDER = f"SELECT a.application_name, a.backend_start {_OTHERS} ORDER BY a.backend_start LIMIT 1"
_DISMISS = f"SELECT pg_terminate_backend(l.pid) {_OTHERS}"
