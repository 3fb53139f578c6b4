"""One unit of somebody else's run, done by a worker on any machine."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from archiver.postgres.operator import host
from archiver.runs import board, broker, setup
from archiver.runs.context import Archiver
from archiver.runs.engines import attempt
from archiver.runs.units import UnitResult
from archiver.runs.wire import Job
from errors import CutoverError, LockedError, RefusedError
from formatting import plural
from inventory.model import Environment

PURPOSE = "archive.worker"
OnLine = Callable[[str], None]


def work(environment: Environment, on_line: OnLine, ready: Callable[[], None]) -> int:
    """Waits for units and does them until it is told to end; the exit code.

    Raises CutoverError where databases, store or broker are out of reach: better now than at the first unit.
    """
    with setup.archiver(environment, PURPOSE):
        pass
    return broker.serve(environment, partial(perform, environment, on_line), ready)


def perform(environment: Environment, on_line: OnLine, run: str, number: int) -> None:
    """Does a unit, unless another worker has it, or nobody wants it any more. What goes wrong is told, not raised."""
    try:
        with setup.archiver(environment, PURPOSE) as archiver:
            _perform(archiver, on_line, run, number)
    except CutoverError as error:
        on_line(f"unit {number}: {error}")


def _perform(archiver: Archiver, on_line: OnLine, run: str, number: int) -> None:
    master = archiver.databases.master
    try:
        with board.taken(master, run, number) as job:
            schools = f"{len(job.unit.tenant_ids)} {plural(archiver.model.tenant.noun)} of {job.unit.shard}"
            on_line(f"unit {number}: {schools}")
            ended = _attempt(archiver, job)
            board.end(master, run, number, ended)
        on_line(f"unit {number}: ended{f', {ended.error}' if ended.error else ''}")
    except (LockedError, RefusedError) as error:
        on_line(f"unit {number}: left alone. {error}")


def _attempt(archiver: Archiver, job: Job) -> UnitResult:
    """What is wrong with this machine or this program ends the unit, too: tried again, it would end the same way."""
    try:
        return attempt(archiver, job.unit, job.memory)
    except Exception as error:
        broken = CutoverError(
            f"This should not have happened on {host()}: {type(error).__name__}: {' '.join(str(error).split())}",
            hint="Run it again with --engine=processes and CUTOVER_DEBUG=1 to see where.",
        )
        return UnitResult(unit=job.unit, error=broken)
