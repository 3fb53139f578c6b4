"""Workers on several machines, over Celery: this process sends units, and watches in master how they end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from archiver.postgres.session import Session
from archiver.runs import board, broker, wire
from archiver.runs.board import TRIES, UnitState
from archiver.runs.context import Archiver
from archiver.runs.engines import MEMORY
from archiver.runs.units import Unit, UnitResult
from archiver.runs.wire import Job
from errors import CutoverError
from inventory.model import Environment

LOOK_EVERY = 0.2  # seconds; a look is two short queries
PATIENCE = 60.0  # seconds without any worker, before that is said and units are sent again
SILENCES = 10  # of them, before the run gives up
START = "Start workers: inv archive.worker --env={} on machines that reach databases, store and broker."


@dataclass(frozen=True, kw_only=True)
class Celery:
    """Workers that wait at the environment's broker, each with sessions of its own."""

    environment: Environment
    workers: int  # how many there will be: units are cut for so many
    say: Callable[[str], None]  # tells the operator what is waited for
    memory: int = MEMORY
    patience: float = PATIENCE

    def run(self, units: Sequence[Unit], archiver: Archiver) -> Iterator[UnitResult]:
        """Does the units; one whose worker dies is done again by another, TRIES times at most.

        Raises CutoverError where the broker can't be reached.
        """
        if not units:
            return
        run, master = secrets.token_hex(8), archiver.databases.master
        sent = _Sent(engine=self, master=master, run=run, left=dict(enumerate(units, 1)))
        with board.living(master, run):
            board.post(master, run, [Job(unit=unit, memory=self.memory) for unit in units])
            sent.send(sent.left)
            yield from sent.ends()


@dataclass(kw_only=True)
class _Sent:
    """Units on their way, by number."""

    engine: Celery
    master: Session
    run: str
    left: dict[int, Unit]
    begun: dict[int, int] = field(default_factory=dict)  # which take of a unit was going on when we last looked
    again: dict[int, int] = field(default_factory=dict)  # which take of a unit was lost, and sent again
    silent_since: float = field(default_factory=time.monotonic)
    silences: int = 0

    def ends(self) -> Iterator[UnitResult]:
        """Each unit's end, as it is seen."""
        while self.left:
            seen = board.unit_states(self.master, self.run, list(self.left))
            for one in seen:
                if one.ended is not None:
                    yield wire.ended(self.left.pop(one.number), one.ended)
            yield from self._taken_over([one for one in seen if one.ended is None])
            yield from self._waited(seen)
            if self.left:
                time.sleep(LOOK_EVERY)

    def send(self, numbers: Iterable[int]) -> None:
        """Sends units, also those that were sent before: who is late steps aside."""
        broker.send(self.engine.environment, self.run, numbers)

    def _taken_over(self, open_ones: Sequence[UnitState]) -> Iterator[UnitResult]:
        """Sends again what a worker took and let go without an end."""
        lost = [one for one in open_ones if not one.taken and self.begun.get(one.number) == one.takes]
        self.begun = {one.number: one.takes for one in open_ones if one.takes}
        for one in lost:
            if one.takes >= TRIES:
                yield UnitResult(unit=self.left.pop(one.number), error=_worn_out())
            elif self.again.get(one.number) != one.takes:
                self.again[one.number] = one.takes
                self.engine.say(f"a worker was lost; its unit of {self.left[one.number].shard} is sent again")
                self.send([one.number])

    def _waited(self, seen: Sequence[UnitState]) -> Iterator[UnitResult]:
        """Says when nobody is at work; in the end gives up."""
        now = time.monotonic()
        if any(one.taken or one.ended is not None for one in seen):
            self.silent_since, self.silences = now, 0
        elif now - self.silent_since > self.engine.patience:
            self.silent_since, self.silences = now, self.silences + 1
            yield from self._told()

    def _told(self) -> Iterator[UnitResult]:
        start = START.format(self.engine.environment.name)
        nobody = f"No worker has taken a unit for {self.silences * self.engine.patience:.0f} s."
        if self.silences < SILENCES:
            self.engine.say(f"{nobody} {start}")
            self.send(self.left)  # a broker may have lost them
            return
        for unit in self.left.values():
            yield UnitResult(unit=unit, error=CutoverError(nobody, hint=start))
        self.left.clear()


def _worn_out() -> CutoverError:
    hint = "Is there memory enough on the workers' machines? --memory says how much each may take."
    return CutoverError(f"A worker died at it, {TRIES} times.", hint=hint)
