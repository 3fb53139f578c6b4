"""The units of a run that workers on other machines do, as they stand in master: what they are, who has one, its end.

Master decides, the broker only wakes workers: a message may come twice, late or never. Three locks say who is at work:
a run holds its own as long as it lives, a worker holds one for its unit and shares one with all workers. They are held
on the sessions that write the records, and go with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from archiver.postgres.locks import WORKERS, AdvisoryLock, held_locks, holder
from archiver.postgres.operator import host
from archiver.postgres.session import Session
from archiver.runs import wire
from archiver.runs.units import UnitResult
from archiver.runs.wire import Job
from errors import RefusedError

TRIES = 3  # of a unit whose worker dies


@dataclass(frozen=True, kw_only=True)
class UnitState:
    """A unit at one moment."""

    number: int
    takes: int  # how often a worker took it
    taken: bool  # whether one is at work on it
    ended: Mapping[str, Any] | None


@contextmanager
def living(master: Session, run: str) -> Iterator[None]:
    """Lets workers do units of this run while the block runs; the caller holds the locks of all databases."""
    with held_locks([AdvisoryLock(master, _run_key(run))]):
        yield


def post(master: Session, run: str, jobs: Sequence[Job]) -> None:
    """Writes the units of a run, by their numbers from 1 on, in place of those of runs that have ended."""
    texts = [json.dumps(one.to_json()) for one in jobs]
    with master.transaction(doing="writing the units"):
        master.execute("DELETE FROM archiver.units", doing="removing earlier units")
        master.execute(
            "INSERT INTO archiver.units (run, number, unit)"
            " SELECT %s, w.number, w.unit FROM unnest(%s::jsonb[]) WITH ORDINALITY w (unit, number)",
            (run, texts),
            doing="writing the units",
        )


def unit_states(master: Session, run: str, numbers: Sequence[int]) -> list[UnitState]:
    """These units now. The locks are read first: a unit that has ended is never seen without its end."""
    taken = {row[0] for row in master.rows(_HELD, (run,), doing="asking who is at work")}
    query = "SELECT number, takes, ended FROM archiver.units WHERE run = %s AND number = ANY(%s) ORDER BY number"
    rows = master.rows(query, (run, list(numbers)), doing="reading the units")
    return [UnitState(number=number, takes=takes, taken=number in taken, ended=ended) for number, takes, ended in rows]


@contextmanager
def taken(master: Session, run: str, number: int) -> Iterator[Job]:
    """Takes a unit while the block runs.

    Raises LockedError where another worker has it, RefusedError where it is not to be done: it, or its run, has ended.
    """
    master.rows(_NOTICED_SOON, (list(_SOON), list(_SOON.values())), doing="preparing a session")
    with held_locks([AdvisoryLock(master, WORKERS, shared=True), AdvisoryLock(master, _unit_key(run, number))]):
        # Who begins after this run's end looks for WORKERS, so that this is true until the block ends.
        if holder(master, _run_key(run)) is None:
            raise RefusedError("Its run has ended.")
        yield _take(master, run, number)


def end(master: Session, run: str, number: int, ended: UnitResult) -> None:
    """Writes what became of a unit; the caller has taken it."""
    query = "UPDATE archiver.units SET ended = %s, ended_at = now() WHERE run = %s AND number = %s"
    master.execute(query, (json.dumps(wire.ended_to_json(ended)), run, number), doing="writing a unit's end")


def _take(master: Session, run: str, number: int) -> Job:
    row = master.row(
        "UPDATE archiver.units SET takes = takes + 1, worker = %s, taken_at = now()"
        " WHERE run = %s AND number = %s AND ended IS NULL AND takes < %s RETURNING unit",
        (host(), run, number, TRIES),
        doing="taking a unit",
    )
    if row is None:
        raise RefusedError("It is done.")
    return wire.job(row[0])


def _run_key(run: str) -> str:
    return f"cutover run {run}"


def _unit_key(run: str, number: int) -> str:
    return f"cutover unit {run} {number}"


# A machine that vanishes says nothing: its server must find out, or the unit would be nobody's for hours.
_SOON = {
    "tcp_keepalives_idle": "30",
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "client_connection_check_interval": "10s",
}
_NOTICED_SOON = """
SELECT set_config(w.name, w.value, false)
  FROM unnest(%s::text[], %s::text[]) w (name, value) JOIN pg_settings USING (name)
"""
_HELD = """
SELECT u.number FROM archiver.units u
  JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND ((l.classid::bigint << 32) | l.objid::bigint)
     = hashtextextended(format('cutover unit %%s %%s', u.run, u.number), 0)
 WHERE u.run = %s
"""
