"""Rewrites what is bloated, within the free disk, and analyzes the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from archiver.postgres.session import SQL, DatabaseError, Literal, Session
from archiver.vacuum.bloat import IndexSize, Measured, TableBloat, unmeasured
from archiver.vacuum.cancellable import OnLine, holders, run_watched
from archiver.vacuum.measure import held, identifier, measure, tables
from errors import CutoverError

PATIENCE = "10s"  # for a lock: whoever asks for the table meanwhile waits behind us; autovacuum gives way in 1 s
LOCKED = "55P03"
Free = Callable[[], int | None]  # bytes of free disk where the tables lie; none: nobody knows


class Fate(Enum):
    """What became of a table."""

    REWRITTEN = "rewritten"  # and analyzed
    KEPT = "kept"  # left as it is, and analyzed
    FOREIGN = "foreign"  # left as it is: the role may not vacuum it
    NO_ROOM = "no room"  # neither rewritten nor analyzed: its new copy would fill the disk
    FAILED = "failed"  # neither rewritten nor analyzed
    WAITING = "waiting"  # a partitioned table is analyzed only with all its partitions


UNDONE = (Fate.NO_ROOM, Fate.FAILED, Fate.WAITING)


@dataclass(frozen=True, kw_only=True)
class RewriteOutcome:
    """A table, and what became of it."""

    measured: Measured
    fate: Fate
    after: int = 0  # bytes on disk
    seconds: float = 0.0
    free: int = 0  # bytes, where that was not enough
    error: CutoverError | None = None

    @property
    def table(self) -> TableBloat:
        """The table."""
        return self.measured.table


@dataclass(frozen=True, kw_only=True)
class BloatFinding:
    """A table as it was found: measured, or why it could not be."""

    measured: Measured
    error: DatabaseError | None = None


@dataclass(frozen=True, kw_only=True)
class Upkeep:
    """All that is needed to vacuum a database."""

    session: Session
    watcher: Session  # a second one, on the same database
    free: Free
    every: bool = False  # rewrite also what is compact

    def wants(self, one: Measured) -> bool:
        """Whether a table is to be rewritten."""
        return one.table.permitted and one.table.filled and (self.every or one.bloated)


def look(upkeep: Upkeep) -> list[BloatFinding]:
    """Measures every table, and sorts them: the least need of disk first, for what it gives back makes room for the
    next; partitioned tables last, because to analyze one is to analyze its partitions."""
    upkeep.session.execute(SQL("SET lock_timeout TO {}").format(Literal(PATIENCE)))
    found = [_found(upkeep, table) for table in tables(upkeep.session)]
    return sorted(found, key=lambda one: (one.measured.table.partitioned, one.measured.need))


def vacuum(upkeep: Upkeep, found: Iterable[BloatFinding], tell: OnLine) -> Iterator[RewriteOutcome]:
    """Does what each table needs, one after the other; one that fails keeps no other from its turn.

    Raises DatabaseError where the connection is lost.
    """
    ended: list[RewriteOutcome] = []
    for one in found:
        ended.append(_outcome(upkeep, one, ended, tell))
        yield ended[-1]


def _found(upkeep: Upkeep, table: TableBloat) -> BloatFinding:
    try:
        return BloatFinding(measured=measure(upkeep.session, table))
    except DatabaseError as error:
        if error.lost:
            raise
        return BloatFinding(measured=unmeasured(table, IndexSize()), error=_explained(upkeep, table, error))


def _outcome(upkeep: Upkeep, found: BloatFinding, ended: Sequence[RewriteOutcome], tell: OnLine) -> RewriteOutcome:
    one = found.measured
    if not one.table.permitted:
        return RewriteOutcome(measured=one, fate=Fate.FOREIGN)
    if found.error:
        return RewriteOutcome(measured=one, fate=Fate.FAILED, error=found.error)
    if one.table.partitioned and any(other.fate in UNDONE for other in ended):
        return RewriteOutcome(measured=one, fate=Fate.WAITING)
    try:
        return _rewritten(upkeep, one, tell) if upkeep.wants(one) else _analyzed(upkeep, one)
    except DatabaseError as error:
        if error.lost:
            raise
        return RewriteOutcome(measured=one, fate=Fate.FAILED, error=_explained(upkeep, one.table, error))


def _rewritten(upkeep: Upkeep, one: Measured, tell: OnLine) -> RewriteOutcome:
    table, began, free = one.table, time.monotonic(), upkeep.free()
    if free is not None and free < one.need:
        return RewriteOutcome(measured=one, fate=Fate.NO_ROOM, free=free)
    run_watched(
        upkeep.session,
        upkeep.watcher,
        SQL("VACUUM (FULL, ANALYZE) {}").format(identifier(table)),
        doing=f"rewriting {table}",
        tell=lambda line: tell(f"{table}: {line}"),
    )
    after = held(upkeep.session, table).all
    return RewriteOutcome(measured=one, fate=Fate.REWRITTEN, after=after, seconds=time.monotonic() - began)


def _analyzed(upkeep: Upkeep, one: Measured) -> RewriteOutcome:
    upkeep.session.execute(SQL("ANALYZE {}").format(identifier(one.table)), doing=f"analyzing {one.table}")
    return RewriteOutcome(measured=one, fate=Fate.KEPT, after=one.bytes)


def _explained(upkeep: Upkeep, table: TableBloat, error: DatabaseError) -> DatabaseError:
    """The error; where somebody's lock is the cause, who that is."""
    if error.code != LOCKED:
        return error
    who = holders(upkeep.watcher, table.oid) or "somebody who is gone by now"
    return DatabaseError(f"{who} held a lock on it for {PATIENCE}.", code=LOCKED, hint="Run this again later.")
