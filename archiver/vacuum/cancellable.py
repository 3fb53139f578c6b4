"""A long statement, watched from a second session and canceled from there if the run is interrupted."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet

from archiver.postgres.session import Composable, Session

NEWS_EVERY = 10.0  # seconds
_INSIST_EVERY = 0.5  # seconds; a cancel that arrives before the statement begins has no effect
OnLine = Callable[[str], None]


def run_watched(session: Session, watcher: Session, statement: Composable, *, doing: str, on_line: OnLine) -> None:
    """Run a statement and report its progress; if the wait is interrupted, cancel the statement.

    Without the cancel, the server would run it to its end even without its client.
    """
    pid = session.row("SELECT pg_backend_pid()")[0]
    with ThreadPoolExecutor(1) as executor:
        work = executor.submit(session.execute, statement, doing=doing)
        try:
            while not _ended(work, NEWS_EVERY):
                on_line(progress(watcher, pid))
        except BaseException:
            cancel(watcher, pid, work)
            raise
    work.result()


def cancel(watcher: Session, pid: int, work: Future[int]) -> None:
    """Cancel a backend's statement and wait for it to end."""
    while not _ended(work, 0):
        watcher.rows("SELECT pg_cancel_backend(%s)", (pid,), doing="canceling a statement")
        _ended(work, _INSIST_EVERY)


def progress(watcher: Session, pid: int) -> str:
    """Return the progress of a VACUUM FULL in a few words."""
    row = watcher.row(_PROGRESS, (pid,), doing="reading the progress")
    if row is None:
        return "waiting, or analyzing"
    phase, done, total, indexes = row
    share = f" {done / total:.0%} of {total} pages" if total and phase == "seq scanning heap" else ""
    return f"{phase}{share}" + (f", {indexes} indexes rebuilt" if indexes else "")


def holders(watcher: Session, oid: int) -> str:
    """Return the sessions that hold a lock on a table."""
    rows = watcher.rows(_HOLDERS, (oid,), doing="asking who holds a lock")
    return ", ".join(f"pid {pid} of {role} ({program or 'no name'})" for pid, role, program in rows)


def _ended(work: Future[int], patience: float) -> bool:
    try:
        work.exception(patience)
    except NotYet:
        return False
    return True


_PROGRESS = """
SELECT phase, heap_blks_scanned, heap_blks_total, index_rebuild_count
  FROM pg_stat_progress_cluster WHERE pid = %s
"""
_HOLDERS = """
SELECT DISTINCT a.pid, a.usename, a.application_name
  FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid
 WHERE l.locktype = 'relation' AND l.relation = %s::oid AND l.granted AND l.pid <> pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
 ORDER BY a.pid
"""
