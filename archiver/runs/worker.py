"""A worker: runs units of other machines' runs."""

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
from inventory.scope import NO_SCOPE, Scope, parse_scope, scope_of

PURPOSE = "archive.worker"
OnLine = Callable[[str], None]


def work(environment: Environment, on_line: OnLine, ready: Callable[[], None]) -> int:
    """Wait for units and run them until told to stop; return the exit code.

    Raises CutoverError if databases, store or broker can't be reached: better now than at the first unit.
    """
    with setup.archiver(environment, PURPOSE):
        pass
    return broker.serve(environment, partial(perform, environment, on_line), ready)


def perform(environment: Environment, on_line: OnLine, run: str, number: int) -> None:
    """Run a unit, unless another worker has it or its run has ended. Errors are reported, not raised."""
    try:
        with setup.archiver(environment, PURPOSE) as archiver:
            _perform(archiver, scope_of(environment), on_line, run, number)
    except CutoverError as error:
        on_line(f"unit {number}: {error}")


def _perform(archiver: Archiver, own: Scope, on_line: OnLine, run: str, number: int) -> None:
    master = archiver.databases.master
    try:
        with board.taken(master, run, number) as job:
            schools = f"{len(job.unit.tenant_ids)} {plural(archiver.model.tenant.noun)} of {job.unit.shard}"
            on_line(f"unit {number}: {schools}")
            ended = _refused(own, job) or _attempt(archiver, job)
            board.end(master, run, number, ended)
        on_line(f"unit {number}: ended{f', {ended.error}' if ended.error else ''}")
    except (LockedError, RefusedError) as error:
        on_line(f"unit {number}: skipped. {error}")


def _refused(own: Scope, job: Job) -> UnitResult | None:
    """Return the refusal of a unit that was sent with another scope than this machine's; None for the same one."""
    try:
        own.refuse_other(parse_scope(job.scope) if job.scope else NO_SCOPE, f"{PURPOSE} on {host()}")
    except RefusedError as error:
        return UnitResult(unit=job.unit, error=error)
    return None


def _attempt(archiver: Archiver, job: Job) -> UnitResult:
    """Run the unit; an unexpected exception becomes its result, as a retry would fail the same way."""
    try:
        return attempt(archiver, job.unit, job.memory)
    except Exception as error:
        broken = CutoverError(
            f"This should not have happened on {host()}: {type(error).__name__}: {' '.join(str(error).split())}",
            hint="Run it again with --engine=processes and CUTOVER_DEBUG=1 to see where.",
        )
        return UnitResult(unit=job.unit, error=broken)
