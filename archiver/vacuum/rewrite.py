"""Rewriting bloated tables, as far as free disk allows, and analyzing the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from archiver.postgres.session import SQL, DatabaseError, Literal, Session
from archiver.vacuum.bloat import DiskSize, Measured, TableBloat, unmeasured
from archiver.vacuum.cancellable import OnLine, holders, run_watched
from archiver.vacuum.measure import disk_size, identifier, measure, tables

PATIENCE = "10s"  # lock_timeout: other sessions queue behind our lock request; autovacuum yields within 1 s
LOCKED = "55P03"  # lock_not_available
Free = Callable[[], int | None]  # bytes of free disk at the tables; None: unknown


class Fate(Enum):
    """The outcome for a table."""

    REWRITTEN = "rewritten"  # and analyzed
    KEPT = "kept"  # not rewritten, but analyzed
    FOREIGN = "foreign"  # neither rewritten nor analyzed: the role may not vacuum it
    NO_ROOM = "no room"  # neither rewritten nor analyzed: its new copy would fill the disk
    WAITING = "waiting"  # a partitioned table is analyzed only with all its partitions


UNDONE = (Fate.NO_ROOM, Fate.WAITING)


@dataclass(frozen=True, kw_only=True)
class Rewrite:
    """The result for a table."""

    fate: Fate
    before: int = 0  # bytes on disk of what was rewritten
    after: int = 0  # bytes on disk
    free: int = 0  # bytes of free disk, if not enough


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


def rewrite_or_analyze(upkeep: Upkeep, finding: BloatFinding, on_line: OnLine, *, all_done: bool) -> Rewrite:
    """Rewrite a table or analyze it; a partitioned table only if `all_done` says that the tables before it are.

    Raises DatabaseError if it could not be measured, or fails; the holder of a lock is named.
    """
    measured = finding.measured
    if not measured.table.permitted:
        return Rewrite(fate=Fate.FOREIGN)
    if finding.error:
        raise finding.error
    if measured.table.partitioned and not all_done:
        return Rewrite(fate=Fate.WAITING)
    try:
        return _rewritten(upkeep, measured, on_line) if upkeep.wants(measured) else _analyzed(upkeep, measured)
    except DatabaseError as error:
        if error.lost:
            raise
        raise _explained(upkeep, measured.table, error) from error


def _finding(upkeep: Upkeep, table: TableBloat) -> BloatFinding:
    try:
        return BloatFinding(measured=measure(upkeep.session, table))
    except DatabaseError as error:
        if error.lost:
            raise
        return BloatFinding(measured=unmeasured(table, DiskSize()), error=_explained(upkeep, table, error))


def _rewritten(upkeep: Upkeep, measured: Measured, on_line: OnLine) -> Rewrite:
    table, free = measured.table, upkeep.free()
    if free is not None and free < measured.need:
        return Rewrite(fate=Fate.NO_ROOM, free=free)
    run_watched(
        upkeep.session,
        upkeep.watcher,
        SQL("VACUUM (FULL, ANALYZE) {}").format(identifier(table)),
        doing=f"rewriting {table}",
        on_line=lambda line: on_line(f"{table}: {line}"),
    )
    after = disk_size(upkeep.session, table).all
    return Rewrite(fate=Fate.REWRITTEN, before=measured.bytes, after=after)


def _analyzed(upkeep: Upkeep, measured: Measured) -> Rewrite:
    table = measured.table
    upkeep.session.execute(SQL("ANALYZE {}").format(identifier(table)), doing=f"analyzing {table}")
    return Rewrite(fate=Fate.KEPT)


def _explained(upkeep: Upkeep, table: TableBloat, error: DatabaseError) -> DatabaseError:
    """Return the error; if another session's lock is the cause, with the name of that session."""
    if error.code != LOCKED:
        return error
    sessions = holders(upkeep.watcher, table.oid) or "a session that has ended since"
    return DatabaseError(f"{sessions} held a lock on it for {PATIENCE}.", code=LOCKED, hint="Run this again later.")
