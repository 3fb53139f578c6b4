"""A night in memory, conducted by what an operator's commands call: locks, journal on disk and on a shelf, the lot."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from errors import CutoverError
from inventory.model import Environment
from runbooks.cutover import payments
from runbooks.engine.live.console import Console
from runbooks.engine.live.executors import LiveWorld
from runbooks.engine.model.actions import Reading
from runbooks.engine.model.debts import owed
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Event, read_events
from runbooks.engine.model.outcome import Outcome
from runbooks.night import abandon, files
from runbooks.night import run as night_run
from tests.fakes import NIGHT, FakeShelf, Theatre, night_plan, rehearsal


@dataclass
class House:
    """The ways to conduct a night, in a theatre: what an operator's commands call."""

    theatre: Theatre
    environment: Environment
    typed: str = "2014-08-15"

    @property
    def cast(self) -> night_run.Cast:
        """The theatre's person at a console that shows nothing."""
        self.out = io.StringIO()
        clock = self.theatre.clock
        console = Console(clock=clock, file=self.out, read=lambda prompt: self.typed)
        return night_run.Cast(clock, console, self.theatre.person)  # type: ignore[arg-type]

    @property
    def events(self) -> tuple[Event, ...]:
        return read_events(files.Files(self.environment, "2014-08-15").journal)

    @property
    def debts(self) -> list[str]:
        return [str(debt) for debt in owed(self.events)]

    def outcome(self, step: str, host: str) -> Outcome:
        return read_history(self.events).past(step, host).outcome

    def run(self) -> None:
        night_run.run(self.environment, self.theatre.plan, self.cast)

    def resume(self) -> None:
        night_run.resume(self.environment, self.theatre.plan, self.cast)

    def pay(self) -> None:
        abandon.pay(self.environment, self.theatre.plan, self.cast, payments(self.environment, NIGHT))

    def abort(self, *, stop: bool = False) -> CutoverError:
        """What it always raises."""
        with pytest.raises(CutoverError) as raised:
            abandon.abort(self.environment, self.theatre.plan, self.cast, stop=stop)
        return raised.value

    def run_until(self, command: str, spoilt: Callable[[], Reading]) -> CutoverError:
        """The night, which stops because of a command that goes wrong."""
        self.theatre.production.broken[command] = spoilt
        with pytest.raises(CutoverError) as raised:
            self.run()
        self.theatre.production.broken.clear()
        return raised.value

    def approve(self) -> None:
        night_run.approve(self.environment, self.theatre.plan, self.cast)


def open_house(monkeypatch: pytest.MonkeyPatch, home: Path, *, second_person: bool = False) -> House:
    """A house whose files lie in a folder of the test, with ports and shelf in memory."""
    environment = replace(rehearsal(), state=str(home), overlay=None, second_person=second_person)
    theatre, shelf = Theatre(plan=night_plan(environment)), FakeShelf()

    @contextmanager
    def in_memory(*live: object) -> Iterator[LiveWorld]:
        yield theatre.world

    monkeypatch.setenv("CUTOVER_OPERATOR", "chris")
    monkeypatch.setattr(files, "shelf_of", lambda environment: shelf)
    monkeypatch.setattr(night_run, "live_world", in_memory)
    return House(theatre, environment)
