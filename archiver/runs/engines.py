"""The engines that run the units of a bulk run: this process, one unit after the other, or worker processes here."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Protocol

from archiver.runs import each, setup
from archiver.runs.context import Archiver
from archiver.runs.each import Done
from archiver.runs.prepare import prepare
from archiver.runs.units import Unit, UnitResult
from errors import CutoverError
from inventory.model import Environment

MEMORY = 1 << 30  # bytes a worker
TRIES = 3  # of a unit whose worker dies


class Engine(Protocol):
    """A strategy for running units."""

    @property
    def workers(self) -> int:
        """The number of units run at once."""

    def run(self, units: Sequence[Unit], archiver: Archiver) -> Iterator[UnitResult]:
        """Run the units; yield each result as it ends, in any order. The archiver is the caller's own."""


@dataclass(frozen=True)
class InTurn:
    """Runs units in this process, one after the other."""

    memory: int = MEMORY
    workers: int = 1

    def run(self, units: Sequence[Unit], archiver: Archiver) -> Iterator[UnitResult]:
        """Run the units with the caller's archiver."""
        for unit in units:
            yield attempt(archiver, unit, self.memory)


IN_TURN = InTurn()


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Runs units in worker processes on this machine, each with its own sessions; at most one works on a unit."""

    environment: Environment
    purpose: str  # shown to others as the sessions' name
    identity: str
    workers: int
    memory: int = MEMORY

    def run(self, units: Sequence[Unit], archiver: Archiver) -> Iterator[UnitResult]:
        """Run the units; a unit whose worker dies is given to another, at most TRIES times in all."""
        left = list(units)
        for _ in range(TRIES):
            for ended in self._once(left):
                left.remove(ended.unit)
                yield ended
            if not left:
                return
        lost = CutoverError(
            "A worker died repeatedly.", hint="Is there memory enough? --memory says how much each may take."
        )
        yield from (UnitResult(unit=unit, error=lost) for unit in left)

    def _once(self, units: Sequence[Unit]) -> Iterator[UnitResult]:
        """Yield the results of the units that ended before a worker died."""
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.workers, mp_context=context, initializer=_begin) as pool:
            pending: set[Future[UnitResult]] = set()
            try:
                pending.update(pool.submit(_perform, self, unit) for unit in units)
                while pending:
                    done, pending = wait(pending, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in done)
            except BrokenProcessPool:
                return
            finally:
                if pending:  # a worker died, or the operator stopped
                    for process in multiprocessing.active_children():
                        process.terminate()


def attempt(archiver: Archiver, unit: Unit, memory: int) -> UnitResult:
    """Run a unit; an error that stops it becomes part of its result."""
    ended = each.attempt(unit, lambda unit: Done(detail=prepare(archiver, unit, memory)), databases=archiver.databases)
    return UnitResult(unit=unit, outcomes=ended.detail or (), error=ended.error)


def _begin() -> None:
    """Ignore Ctrl-C, which the main process handles."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _perform(engine: Processes, unit: Unit) -> UnitResult:
    with setup.archiver(engine.environment, engine.purpose, identity=engine.identity) as archiver:
        return attempt(archiver, unit, engine.memory)
