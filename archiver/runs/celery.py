"""The Celery engine, for workers on several machines: sends units and watches their state in master."""

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
from inventory.scope import scope_of

LOOK_EVERY = 0.2  # seconds; each time two short queries
PATIENCE = 60.0  # seconds without a worker before the operator is told and units are sent again
SILENCES = 10  # such periods before the run gives up
START = "Start workers: inv archive.worker --env={} on machines that reach databases, store and broker."


@dataclass(frozen=True, kw_only=True)
class Celery:
    """The workers at the environment's broker, each with its own sessions."""

    environment: Environment
    workers: int  # expected number: units are sized for it
    say: Callable[[str], None]  # reports to the operator what the run waits for
    memory: int = MEMORY
    patience: float = PATIENCE

    def run(self, units: Sequence[Unit], archiver: Archiver) -> Iterator[UnitResult]:
        """Run the units; a unit whose worker dies is given to another, at most TRIES times in all.

        Raises CutoverError if the broker can't be reached.
        """
        if not units:
            return
        run, master = secrets.token_hex(8), archiver.databases.master
        sent = _Sent(engine=self, master=master, run=run, left=dict(enumerate(units, 1)))
        with board.living(master, run):
            scope = scope_of(self.environment).text
            board.post(master, run, [Job(unit=unit, memory=self.memory, scope=scope) for unit in units])
            sent.send(sent.left)
            yield from sent.ends()


@dataclass(kw_only=True)
class _Sent:
    """The units sent and not ended, by number."""

    engine: Celery
    master: Session
    run: str
    left: dict[int, Unit]
    begun: dict[int, int] = field(default_factory=dict)  # by unit: the take that was running at the last check
    again: dict[int, int] = field(default_factory=dict)  # by unit: the take that was lost and sent again
    silent_since: float = field(default_factory=time.monotonic)
    silences: int = 0

    def ends(self) -> Iterator[UnitResult]:
        """Yield the result of each unit as it ends."""
        while self.left:
            states = board.unit_states(self.master, self.run, list(self.left))
            for state in states:
                if state.ended is not None:
                    yield wire.ended(self.left.pop(state.number), state.ended)
            yield from self._taken_over([state for state in states if state.ended is None])
            yield from self._waited(states)
            if self.left:
                time.sleep(LOOK_EVERY)

    def send(self, numbers: Iterable[int]) -> None:
        """Send units, including those sent before: a worker that comes late does nothing."""
        broker.send(self.engine.environment, self.run, numbers)

    def _taken_over(self, states: Sequence[UnitState]) -> Iterator[UnitResult]:
        """Resend each unit that a worker took and released without a result."""
        lost = [state for state in states if not state.taken and self.begun.get(state.number) == state.takes]
        self.begun = {state.number: state.takes for state in states if state.takes}
        for state in lost:
            if state.takes >= TRIES:
                yield UnitResult(unit=self.left.pop(state.number), error=_too_many_tries())
            elif self.again.get(state.number) != state.takes:
                self.again[state.number] = state.takes
                self.engine.say(f"a worker was lost; its unit of {self.left[state.number].shard} is sent again")
                self.send([state.number])

    def _waited(self, states: Sequence[UnitState]) -> Iterator[UnitResult]:
        """Report that no worker is running; after SILENCES periods give up."""
        now = time.monotonic()
        if any(state.taken or state.ended is not None for state in states):
            self.silent_since, self.silences = now, 0
        elif now - self.silent_since > self.engine.patience:
            self.silent_since, self.silences = now, self.silences + 1
            yield from self._report_silence()

    def _report_silence(self) -> Iterator[UnitResult]:
        start = START.format(self.engine.environment.name)
        silence = f"No worker has taken a unit for {self.silences * self.engine.patience:.0f} s."
        if self.silences < SILENCES:
            self.engine.say(f"{silence} {start}")
            self.send(self.left)  # the broker may have lost them
            return
        for unit in self.left.values():
            yield UnitResult(unit=unit, error=CutoverError(silence, hint=start))
        self.left.clear()


def _too_many_tries() -> CutoverError:
    hint = "Is there memory enough on the workers' machines? --memory says how much each may take."
    return CutoverError(f"A worker died at it, {TRIES} times.", hint=hint)
