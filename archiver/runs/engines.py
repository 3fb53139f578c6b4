"""Who does the units of a run over many: this process, one after the other, or worker processes on this machine."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Protocol

from archiver.runs import setup
from archiver.runs.context import Archiver
from archiver.runs.prepare import prepare
from archiver.runs.units import Unit, UnitResult
from errors import CutoverError
from inventory.model import Environment

MEMORY = 1 << 30  # bytes a worker
TRIES = 3  # of a unit whose worker dies


class Engine(Protocol):
    """A way to get units done."""

    @property
    def workers(self) -> int:
        """How many units are done at once."""

    def run(self, units: Sequence[Unit], archiver: Archiver) -> Iterator[UnitResult]:
        """Does the units; gives each as it ends, in any order. The archiver is the caller's own."""


@dataclass(frozen=True)
class InTurn:
    """This process, one unit after the other."""

    memory: int = MEMORY
    workers: int = 1

    def run(self, units: Sequence[Unit], archiver: Archiver) -> Iterator[UnitResult]:
        """Does the units with the caller's archiver."""
        for unit in units:
            yield attempt(archiver, unit, self.memory)


IN_TURN = InTurn()


@dataclass(frozen=True, kw_only=True)
class Processes:
    """Worker processes on this machine, each with sessions of its own; at most one at a shard's part of the schools."""

    environment: Environment
    purpose: str  # what others see at work
    identity: str
    workers: int
    memory: int = MEMORY

    def run(self, units: Sequence[Unit], archiver: Archiver) -> Iterator[UnitResult]:
        """Does the units; one whose worker dies is done again by another, TRIES times at most."""
        left = list(units)
        for _ in range(TRIES):
            for ended in self._once(left):
                left.remove(ended.unit)
                yield ended
            if not left:
                return
        lost = CutoverError(
            "A worker died, again and again.", hint="Is there memory enough? --memory says how much each may take."
        )
        yield from (UnitResult(unit=unit, error=lost) for unit in left)

    def _once(self, units: Sequence[Unit]) -> Iterator[UnitResult]:
        """Those that ended before a worker died."""
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
    """Does a unit; what broke it off is part of how it ended."""
    try:
        return UnitResult(unit=unit, outcomes=prepare(archiver, unit, memory))
    except CutoverError as error:
        archiver.databases.forget_schemas()  # a migration may be what went wrong
        return UnitResult(unit=unit, error=error)


def _begin() -> None:
    """The operator's Ctrl-C is the main process's to hear."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _perform(engine: Processes, unit: Unit) -> UnitResult:
    with setup.archiver(engine.environment, engine.purpose, identity=engine.identity) as archiver:
        return attempt(archiver, unit, engine.memory)
