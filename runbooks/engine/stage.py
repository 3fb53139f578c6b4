"""What a run stands on: the plan, the world, the journal, the clock, the person and the screen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from runbooks.engine.debts import owed
from runbooks.engine.history import Facts, History, Past, read_history
from runbooks.engine.journal import Journal
from runbooks.engine.plan import Plan
from runbooks.engine.ports import Clock, Person, Screen, World
from runbooks.engine.step import Debt, HostTask, Step


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything a runner uses; the journal is the only thing that remembers."""

    plan: Plan
    world: World
    journal: Journal
    clock: Clock
    person: Person
    screen: Screen
    hands: int = 5  # hosts at a time, at most

    def history(self) -> History:
        """The night so far."""
        return read_history(self.journal.events)

    def past(self, step: Step, task: HostTask) -> Past:
        """What became of a step on a host so far."""
        return self.history().past(step.key, task.host)

    def facts(self) -> Facts:
        """What judges may know now."""
        return Facts(now=self.clock.now(), history=self.history())

    def elapsed(self) -> timedelta:
        """Since the night began."""
        began = self.history().began
        return self.clock.now() - began if began else timedelta()

    def debts(self) -> tuple[Debt, ...]:
        """What is owed now."""
        return owed(self.journal.events)
