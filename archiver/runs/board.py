"""The units of a run done by workers on other machines, recorded in master: content, current worker, result.

Master decides; the broker only wakes workers, and a message may come twice, late or never. Three locks show what is
running: a run holds its own as long as it lives, a worker holds one for its unit and shares one with all workers. They
are held on the sessions that write the records, and end with them.
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
    """The state of a unit at one moment."""

    number: int
    takes: int  # number of times a worker took it
    taken: bool  # a worker is running it
    ended: Mapping[str, Any] | None


@contextmanager
def living(master: Session, run: str) -> Iterator[None]:
    """Allow workers to run this run's units during the block; the caller holds the locks of all databases."""
    with held_locks([AdvisoryLock(master, _run_key(run))]):
        yield


def post(master: Session, run: str, jobs: Sequence[Job]) -> None:
    """Write the units of a run, numbered from 1, replacing the units of ended runs."""
    texts = [json.dumps(job.to_json()) for job in jobs]
    with master.transaction(doing="writing the units"):
        master.execute("DELETE FROM archiver.units", doing="removing earlier units")
        master.execute(
            "INSERT INTO archiver.units (run, number, unit)"
            " SELECT %s, w.number, w.unit FROM unnest(%s::jsonb[]) WITH ORDINALITY w (unit, number)",
            (run, texts),
            doing="writing the units",
        )


def unit_states(master: Session, run: str, numbers: Sequence[int]) -> list[UnitState]:
    """Return the current state of units. Locks are read first, so an ended unit is never seen without its result."""
    taken_numbers = {row[0] for row in master.rows(_TAKEN, (run,), doing="reading the workers' locks")}
    query = "SELECT number, takes, ended FROM archiver.units WHERE run = %s AND number = ANY(%s) ORDER BY number"
    rows = master.rows(query, (run, list(numbers)), doing="reading the units")
    return [
        UnitState(number=number, takes=takes, taken=number in taken_numbers, ended=ended)
        for number, takes, ended in rows
    ]


@contextmanager
def taken(master: Session, run: str, number: int) -> Iterator[Job]:
    """Take a unit for the duration of the block.

    Raises LockedError if another worker has it, RefusedError if the unit or its run has ended.
    """
    master.rows(_NOTICED_SOON, (list(_SOON), list(_SOON.values())), doing="preparing a session")
    with held_locks([AdvisoryLock(master, WORKERS, shared=True), AdvisoryLock(master, _unit_key(run, number))]):
        # A run that starts after this one's end waits for WORKERS, so this holds until the block ends.
        if holder(master, _run_key(run)) is None:
            raise RefusedError("Its run has ended.")
        yield _take(master, run, number)


def end(master: Session, run: str, number: int, ended: UnitResult) -> None:
    """Write the result of a unit that the caller has taken."""
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


# A machine that vanishes closes no connection: the server must notice, or the unit would stay locked for hours.
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
_TAKEN = """
SELECT u.number FROM archiver.units u
  JOIN pg_locks l ON l.locktype = 'advisory' AND l.granted
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND ((l.classid::bigint << 32) | l.objid::bigint)
     = hashtextextended(format('cutover unit %%s %%s', u.run, u.number), 0)
 WHERE u.run = %s
"""
