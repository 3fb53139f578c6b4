"""Who may work on what at the same time: PostgreSQL's advisory locks, which go with the session that holds them."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from archiver.postgres.session import DatabaseError, Session
from errors import LockedError

EVERYTHING = "cutover"  # a run over many alone, one over a tenant shared, in each database
WORKERS = "cutover workers"  # shared by all who do a unit of somebody else's run, in master
_DISMISSED, _LOOK_AGAIN = 10.0, 0.05  # seconds until a session has ended, and between two looks


@dataclass(frozen=True)
class AdvisoryLock:
    """A lock by its name, on the session that will hold it."""

    session: Session
    key: str
    shared: bool = False

    @property
    def words(self) -> str:
        """What PostgreSQL's functions have in their names."""
        return "lock_shared" if self.shared else "lock"


@contextmanager
def held_locks(wanted: Sequence[AdvisoryLock]) -> Iterator[None]:
    """Holds these locks while the block runs; LockedError, with who has it, where one is taken."""
    taken: list[AdvisoryLock] = []
    try:
        for lock in wanted:
            _take(lock)
            taken.append(lock)
        yield
    finally:
        for lock in reversed(taken):
            _release(lock)


def holder(session: Session, key: str) -> str | None:
    """Who else holds a lock in that session's database, and since when; None where nobody does."""
    row = session.row(_HOLDER, (key,), doing="asking who holds a lock")
    return f"{row[0]} is at work there since {row[1]:%H:%M:%S} UTC" if row else None


def at_work(master: Session) -> list[str]:
    """Who works on tenants now: runs, and workers at units of theirs, the longest at work first."""
    rows = master.rows(_AT_WORK, ([EVERYTHING, WORKERS],), doing="asking who is at work")
    return [f"{name} since {since:%H:%M:%S} UTC" for name, since in rows]


def dismiss_workers(master: Session) -> None:
    """Ends the sessions on master of workers that are still at units of a run which has ended.

    The caller holds EVERYTHING, so that no such run goes on: nobody wants what they would write. Without these sessions
    they can write no more of it. LockedError where one of them does not go.
    """
    deadline = time.monotonic() + _DISMISSED
    while who := holder(master, WORKERS):
        if time.monotonic() > deadline:
            raise LockedError(f"{master.where}: {who}, for a run that has ended.", hint="End it, then run this again.")
        master.rows(_DISMISS, (WORKERS,), doing="ending a worker's session")
        time.sleep(_LOOK_AGAIN)


def _take(lock: AdvisoryLock) -> None:
    query = f"SELECT pg_try_advisory_{lock.words}(hashtextextended(%s, 0))"
    if not lock.session.row(query, (lock.key,), doing="taking a lock")[0]:
        who = holder(lock.session, lock.key) or "somebody was at work there just now"
        raise LockedError(f"{lock.session.where}: {who}.", hint="Wait, then run this again.")


def _release(lock: AdvisoryLock) -> None:
    """Gives a lock back; a session that broke has lost it already."""
    query = f"SELECT pg_advisory_un{lock.words}(hashtextextended(%s, 0))"
    with suppress(DatabaseError):
        lock.session.rows(query, (lock.key,), doing="giving a lock back")


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
