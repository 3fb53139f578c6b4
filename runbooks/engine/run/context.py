"""The context of a run: plan, executor, journal, clock, person and screen."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from errors import AbortedError, UnknownError
from inventory.figures import Figures
from runbooks.engine.model.debts import owed
from runbooks.engine.model.forecast import Forecast, committed, forecast
from runbooks.engine.model.history import Facts, History, HistoryCache, TaskState
from runbooks.engine.model.journal import Journal, Kind
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Approvals, Clock, Executor, Person, Screen
from runbooks.engine.model.step import Check, Debt, HostTask, Step, Truth, together
from runbooks.engine.reporting.estimates import NO_LAST_TIME, LastTime


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """Everything a runner uses; only the journal holds state."""

    plan: Plan
    executor: Executor
    journal: Journal
    clock: Clock
    person: Person
    screen: Screen
    approvals: Approvals
    last: LastTime = NO_LAST_TIME  # the night that this one is compared with
    max_parallel: int = 5  # hosts at a time, at most
    _history_cache: HistoryCache = field(default_factory=HistoryCache, init=False, repr=False)

    def begin(
        self,
        statements: Sequence[str] = (),
        figures: Figures | None = None,
        *,
        archived_before: datetime | None = None,
    ) -> None:
        """Write the night's first event: what a person agreed to, figures, and when an earlier run last archived."""
        plan, keys = self.plan, [step.key for step in self.plan.steps]
        run = f"{plan.environment}-{plan.date}-{secrets.token_hex(4)}"
        about: dict[str, Any] = {"digest": plan.digest, "plan": plan.lines, "title": plan.title, "steps": keys}
        if archived_before:
            about["archived_before"] = archived_before.isoformat()
        about |= {"statements": statements} if statements else {}
        about |= {"figures": figures.to_json()} if figures else {}
        self.journal.append(Kind.BEGAN, run=run, checklist=plan.checklist, **about)

    def adopt_plan(self) -> None:
        """Resume with the current plan; a person must agree to changes since the night's last plan.

        Raises AbortedError if no person agrees.
        """
        plan, history = self.plan, self.history()
        changed: dict[str, Any] = {} if history.digest == plan.digest else {"plan": plan.lines}
        if changed:
            self.screen.warn("This night's plan has changed since its last run:")
            if not self.person.agree(plan.changed_from(history.plan), "Go on with the changed plan?"):
                raise AbortedError("Aborted: the plan has changed, and no operator agreed to it.", hint=plan.go_on)
        self.journal.append(Kind.RESUMED, digest=plan.digest, **changed)

    def history(self) -> History:
        """Return the night so far."""
        return self._history_cache.of(self.journal.events)

    def task_state(self, step: Step, task: HostTask) -> TaskState:
        """Return the state of a step on a host so far."""
        return self.history().task_state(step.key, task.host)

    def running(self) -> list[str]:
        """Return the hosts on which a command may still be running; one that a person does by hand is none."""
        return [
            task.host
            for step in self.plan.steps
            for task in step.tasks
            if task.action is not None and (state := self.task_state(step, task)).doubtful and not state.over
        ]

    def facts(self) -> Facts:
        """Return the facts for judges as of now."""
        return Facts(now=self.clock.now(), history=self.history())

    def shows(self, what: str, checks: Iterable[Check]) -> bool:
        """True if the live system shows that all checks hold now; UnknownError if one could not be made."""
        verdict = together(self.executor.look(check, self.facts(), expected=True) for check in checks)
        if verdict.truth is Truth.UNSEEN:
            raise UnknownError(f"Looking whether {what} failed. {verdict.proof}", hint=self.next_step_hint())
        return verdict.holds

    def elapsed(self) -> timedelta:
        """Return the time since the night began; zero before."""
        began = self.history().began
        return self.clock.now() - began if began else timedelta()

    @property
    def committed(self) -> bool:
        """True if the point of no return is passed."""
        return committed(self.plan, self.history())

    def next_step_hint(self) -> str:
        """Return the hint after a stop; backing out is mentioned only before the point of no return."""
        if self.history().abandoned:
            return f"{self.plan.back_out} switches the rest back on."
        if self.committed or not self.plan.back_out or not self.debts():
            return self.plan.go_on
        return f"{self.plan.go_on} Or abandon the night: {self.plan.back_out} switches everything back on."

    def forecast(self) -> Forecast | None:
        """Return the night's clock now; None before it began."""
        return forecast(self.plan, self.journal.events, self.clock.now())

    def debts(self) -> tuple[Debt, ...]:
        """Return what is owed now."""
        return owed(self.journal.events)
