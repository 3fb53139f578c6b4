"""What a run stands on: the plan, the world, the journal, the clock, the person and the screen."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from errors import AbortedError
from runbooks.engine.model.debts import owed
from runbooks.engine.model.forecast import Forecast, committed, forecast
from runbooks.engine.model.history import Facts, History, HistoryCache, TaskState
from runbooks.engine.model.journal import Journal, Kind
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Approvals, Clock, Executor, Person, Screen
from runbooks.engine.model.step import Debt, HostTask, Step


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """Everything a runner uses; the journal is the only thing that remembers."""

    plan: Plan
    executor: Executor
    journal: Journal
    clock: Clock
    person: Person
    screen: Screen
    approvals: Approvals
    max_parallel: int = 5  # hosts at a time, at most
    _history_cache: HistoryCache = field(default_factory=HistoryCache, init=False, repr=False)

    def begin(self) -> None:
        """Writes the night's first event."""
        plan, keys = self.plan, [step.key for step in self.plan.steps]
        run = f"{plan.environment}-{plan.date}-{secrets.token_hex(4)}"
        told: dict[str, Any] = {"digest": plan.digest, "plan": plan.lines, "title": plan.title, "steps": keys}
        self.journal.append(Kind.BEGAN, run=run, checklist=plan.checklist, **told)

    def adopt_plan(self) -> None:
        """Goes on with the plan as it is now; where it is another than so far, a person must agree to what changed.

        Raises AbortedError where nobody does.
        """
        plan, history = self.plan, self.history()
        changed: dict[str, Any] = {} if history.digest == plan.digest else {"plan": plan.lines}
        if changed:
            self.screen.warn("The plan is not the one this night went by so far. What changed:")
            if not self.person.agree(plan.changed_from(history.plan), "Go on with the plan as it is now?"):
                raise AbortedError("Aborted: the plan has changed, and nobody agreed to it.", hint=plan.go_on)
        self.journal.append(Kind.RESUMED, digest=plan.digest, **changed)

    def history(self) -> History:
        """The night so far."""
        return self._history_cache.of(self.journal.events)

    def task_state(self, step: Step, task: HostTask) -> TaskState:
        """What became of a step on a host so far."""
        return self.history().task_state(step.key, task.host)

    def facts(self) -> Facts:
        """What judges may know now."""
        return Facts(now=self.clock.now(), history=self.history())

    def elapsed(self) -> timedelta:
        """Since the night began."""
        began = self.history().began
        return self.clock.now() - began if began else timedelta()

    @property
    def committed(self) -> bool:
        """Whether the point of no return is passed."""
        return committed(self.plan, self.history())

    def next_step_hint(self) -> str:
        """What can be done after a stop; going back is spoken of only before the point of no return."""
        if self.history().abandoned:
            return f"{self.plan.back_out} goes on with what it owes."
        if self.committed or not self.plan.back_out or not self.debts():
            return self.plan.go_on
        return f"{self.plan.go_on} Or give the night up: {self.plan.back_out} switches everything on again."

    def forecast(self) -> Forecast | None:
        """The night's clock now."""
        return forecast(self.plan, self.journal.events, self.clock.now())

    def debts(self) -> tuple[Debt, ...]:
        """What is owed now."""
        return owed(self.journal.events)
