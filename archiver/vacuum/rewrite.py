"""Rewriting bloated tables, as far as free disk allows, and analyzing the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from archiver.postgres.session import SQL, DatabaseError, Literal, Session
from archiver.vacuum.bloat import DiskSize, Measured, TableBloat, unmeasured
from archiver.vacuum.cancellable import OnLine, holders, run_watched
from archiver.vacuum.measure import disk_size, identifier, measure, tables
from errors import CutoverError

PATIENCE = "10s"  # lock_timeout: other sessions queue behind our lock request; autovacuum yields within 1 s
LOCKED = "55P03"  # lock_not_available
Free = Callable[[], int | None]  # bytes of free disk at the tables; None: unknown


class Fate(Enum):
    """The outcome for a table."""

    REWRITTEN = "rewritten"  # and analyzed
    KEPT = "kept"  # not rewritten, but analyzed
    FOREIGN = "foreign"  # neither rewritten nor analyzed: the role may not vacuum it
    NO_ROOM = "no room"  # neither rewritten nor analyzed: its new copy would fill the disk
    FAILED = "failed"  # neither rewritten nor analyzed
    WAITING = "waiting"  # a partitioned table is analyzed only with all its partitions


UNDONE = (Fate.NO_ROOM, Fate.FAILED, Fate.WAITING)


@dataclass(frozen=True, kw_only=True)
class RewriteOutcome:
    """A table and its outcome."""

    measured: Measured
    fate: Fate
    after: int = 0  # bytes on disk
    seconds: float = 0.0
    free: int = 0  # bytes of free disk, if not enough
    error: CutoverError | None = None

    @property
    def table(self) -> TableBloat:
        """The table."""
        return self.measured.table


@dataclass(frozen=True, kw_only=True)
class BloatFinding:
    """A table before the rewrite: its measurement, or why it failed."""

    measured: Measured
    error: DatabaseError | None = None


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """Everything needed to vacuum a database."""

    session: Session
    watcher: Session  # a second session on the same database
    free: Free
    every: bool = False  # also rewrite compact tables

    def wants(self, measured: Measured) -> bool:
        """True if a table is to be rewritten."""
        return measured.table.permitted and measured.table.filled and (self.every or measured.bloated)


def look(upkeep: Upkeep) -> list[BloatFinding]:
    """Measure every table. Return the least need of disk first: what it frees makes room for the next.

    Partitioned tables are last, because analyzing one also analyzes its partitions.
    """
    upkeep.session.execute(SQL("SET lock_timeout TO {}").format(Literal(PATIENCE)))
    findings = [_finding(upkeep, table) for table in tables(upkeep.session)]
    return sorted(findings, key=lambda finding: (finding.measured.table.partitioned, finding.measured.need))


def vacuum(upkeep: Upkeep, findings: Iterable[BloatFinding], on_line: OnLine) -> Iterator[RewriteOutcome]:
    """Rewrite or analyze each table in turn and yield its outcome. A failure does not stop the others.

    Raises DatabaseError if the connection is lost.
    """
    ended: list[RewriteOutcome] = []
    for finding in findings:
        ended.append(_outcome(upkeep, finding, ended, on_line))
        yield ended[-1]


def _finding(upkeep: Upkeep, table: TableBloat) -> BloatFinding:
    try:
        return BloatFinding(measured=measure(upkeep.session, table))
    except DatabaseError as error:
        if error.lost:
            raise
        return BloatFinding(measured=unmeasured(table, DiskSize()), error=_explained(upkeep, table, error))


def _outcome(upkeep: Upkeep, finding: BloatFinding, ended: Sequence[RewriteOutcome], on_line: OnLine) -> RewriteOutcome:
    measured = finding.measured
    if not measured.table.permitted:
        return RewriteOutcome(measured=measured, fate=Fate.FOREIGN)
    if finding.error:
        return RewriteOutcome(measured=measured, fate=Fate.FAILED, error=finding.error)
    if measured.table.partitioned and any(other.fate in UNDONE for other in ended):
        return RewriteOutcome(measured=measured, fate=Fate.WAITING)
    try:
        return _rewritten(upkeep, measured, on_line) if upkeep.wants(measured) else _analyzed(upkeep, measured)
    except DatabaseError as error:
        if error.lost:
            raise
        return RewriteOutcome(measured=measured, fate=Fate.FAILED, error=_explained(upkeep, measured.table, error))


def _rewritten(upkeep: Upkeep, measured: Measured, on_line: OnLine) -> RewriteOutcome:
    table, began, free = measured.table, time.monotonic(), upkeep.free()
    if free is not None and free < measured.need:
        return RewriteOutcome(measured=measured, fate=Fate.NO_ROOM, free=free)
    run_watched(
        upkeep.session,
        upkeep.watcher,
        SQL("VACUUM (FULL, ANALYZE) {}").format(identifier(table)),
        doing=f"rewriting {table}",
        on_line=lambda line: on_line(f"{table}: {line}"),
    )
    after = disk_size(upkeep.session, table).all
    return RewriteOutcome(measured=measured, fate=Fate.REWRITTEN, after=after, seconds=time.monotonic() - began)


def _analyzed(upkeep: Upkeep, measured: Measured) -> RewriteOutcome:
    table = measured.table
    upkeep.session.execute(SQL("ANALYZE {}").format(identifier(table)), doing=f"analyzing {table}")
    return RewriteOutcome(measured=measured, fate=Fate.KEPT, after=measured.bytes)


def _explained(upkeep: Upkeep, table: TableBloat, error: DatabaseError) -> DatabaseError:
    """Return the error; if another session's lock is the cause, with the name of that session."""
    if error.code != LOCKED:
        return error
    sessions = holders(upkeep.watcher, table.oid) or "a session that has ended since"
    return DatabaseError(f"{sessions} held a lock on it for {PATIENCE}.", code=LOCKED, hint="Run this again later.")
