"""Upkeep of one database: bloated tables are rewritten, and unused strays are dropped, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta

from archiver.delete import drop_strays
from archiver.postgres.session import DatabaseError, Session
from archiver.runs.each import Done, Outcome, connection_lost, for_each
from archiver.vacuum.cancellable import OnLine
from archiver.vacuum.rewrite import UNDONE, BloatFinding, Rewrite, Upkeep, rewrite_or_analyze
from archiver.vacuum.strays import Stray, droppable
from errors import CutoverError, RefusedError

VacuumOutcome = Outcome[BloatFinding, Rewrite]
DropOutcome = Outcome[Stray, None]


def vacuum(
    upkeep: Upkeep, findings: Iterable[BloatFinding], on_line: OnLine, on_result: Callable[[VacuumOutcome], None]
) -> list[VacuumOutcome]:
    """Rewrite or analyze each table in turn. A failure does not stop the others.

    Raises DatabaseError if the connection is lost.
    """
    ended: list[VacuumOutcome] = []

    def end(outcome: VacuumOutcome) -> None:
        ended.append(outcome)
        on_result(outcome)

    def work(finding: BloatFinding) -> Done[Rewrite]:
        rewrite = rewrite_or_analyze(upkeep, finding, on_line, all_done=not any(map(undone, ended)))
        return Done(size=rewrite.before, detail=rewrite)

    return for_each(findings, work, end, stops=lambda error: not isinstance(error, DatabaseError) or error.lost)


def undone(outcome: VacuumOutcome) -> bool:
    """Return True if a table was neither rewritten nor analyzed, though it should have been."""
    return outcome.detail is None or outcome.detail.fate in UNDONE


def drop_unused(
    session: Session, tables: Sequence[Stray], idle: timedelta, on_result: Callable[[DropOutcome], None]
) -> list[DropOutcome]:
    """Drop those of the tables that nothing uses, one by one. A failure does not stop the others.

    Raises DatabaseError if the connection is lost, UnknownError if it is lost during a COMMIT.
    """
    unused = droppable(tables, idle)

    def work(stray: Stray) -> Done[None]:
        drop_strays.drop(session, stray, idle)
        return Done(detail=None, rows=stray.rows, size=stray.bytes)

    return for_each([stray for stray in tables if stray.table in unused], work, on_result, stops=_stops_dropping)


def _stops_dropping(error: CutoverError) -> bool:
    return connection_lost(error) or not isinstance(error, (DatabaseError, RefusedError))
