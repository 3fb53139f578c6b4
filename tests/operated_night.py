"""A night in memory, conducted by what an operator's commands call: locks, journal on disk and in the object store."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from errors import CutoverError
from inventory.model import Environment
from runbooks.cutover import back_out_steps
from runbooks.engine.live.console import Console
from runbooks.engine.live.executors import LiveExecutor
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.debts import owed
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Event, read_events
from runbooks.engine.model.outcome import Outcome
from runbooks.night import abandon, files
from runbooks.night import approve as night_approve
from runbooks.night import run as night_run
from tests.fakes import NIGHT, FakeNight, FakeObjectStore, night_plan, rehearsal


@dataclass
class OperatedNight:
    """The ways to conduct a night in memory: what an operator's commands call."""

    fake_night: FakeNight
    environment: Environment
    typed: str = "2014-08-15"

    @property
    def terminal(self) -> night_run.Terminal:
        """The fake operator at a console that shows nothing."""
        self.out = io.StringIO()
        clock = self.fake_night.clock
        console = Console(clock=clock, file=self.out, read=lambda prompt: self.typed)
        return night_run.Terminal(clock, console, self.fake_night.person)  # type: ignore[arg-type]

    @property
    def events(self) -> tuple[Event, ...]:
        return read_events(files.Files(self.environment, "2014-08-15").journal)

    @property
    def debts(self) -> list[str]:
        return [str(debt) for debt in owed(self.events)]

    def outcome(self, step: str, host: str) -> Outcome:
        return read_history(self.events).task_state(step, host).outcome

    def run(self) -> None:
        night_run.run(self.environment, self.fake_night.plan, self.terminal)

    def resume(self) -> None:
        night_run.resume(self.environment, self.fake_night.plan, self.terminal)

    def pay(self) -> None:
        abandon.back_out(self.environment, self.fake_night.plan, self.terminal, back_out_steps(self.environment, NIGHT))

    def abort(self, *, stop: bool = False) -> CutoverError:
        """Abort, and return the error that it always raises."""
        with pytest.raises(CutoverError) as raised:
            abandon.abort(self.environment, self.fake_night.plan, self.terminal, stop=stop)
        return raised.value

    def run_until(self, command: str, spoilt: Callable[[], ProbeOutput]) -> CutoverError:
        """Run the night, which stops because of a command that goes wrong, and return the error."""
        self.fake_night.production.broken[command] = spoilt
        with pytest.raises(CutoverError) as raised:
            self.run()
        self.fake_night.production.broken.clear()
        return raised.value

    def approve(self) -> None:
        night_approve.approve(self.environment, self.fake_night.plan, self.terminal)


def operated_night(monkeypatch: pytest.MonkeyPatch, home: Path, *, second_person: bool = False) -> OperatedNight:
    """Return an operated night whose files lie in a folder of the test, with ports and object store in memory."""
    environment = replace(rehearsal(), state=str(home), overlay=None, second_person=second_person)
    fake_night, object_store = FakeNight(plan=night_plan(environment)), FakeObjectStore()

    @contextmanager
    def in_memory(*live: object) -> Iterator[LiveExecutor]:
        yield fake_night.executor

    monkeypatch.setenv("CUTOVER_OPERATOR", "chris")
    monkeypatch.setattr(files, "object_store_of", lambda environment: object_store)
    monkeypatch.setattr(night_run, "live_executor", in_memory)
    return OperatedNight(fake_night, environment)
