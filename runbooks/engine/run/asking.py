"""A person who may have walked away: each question is journaled before it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.engine.model.journal import Journal
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Choice, Notifier, Person
from runbooks.engine.model.step import HostTask, Step
from runbooks.engine.model.waiting import BY_HAND, asked
from runbooks.engine.reporting.notifications import WAITING


@dataclass(frozen=True)
class AskedPerson:
    """A person whose questions stand in the journal, where status, page, webhook and a second machine see them."""

    person: Person
    plan: Plan
    journal: Journal
    notifier: Notifier
    name: str  # of the operator at the terminal, e.g. `chris@laptop`

    @property
    def present(self) -> bool:
        """True if a person can be asked."""
        return self.person.present

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Journal the question, then have the person do it by hand."""
        self._ask(step, BY_HAND, task.host)
        return self.person.perform(step, task, note)

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Journal the question, then have the person type the word."""
        self._ask(step, f"to type {word}: the point of no return")
        return self.person.confirm(step, statements, word)

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """Journal the question, then ask for a decision about a failure; with no person there, it is not asked."""
        if self.present:
            self._ask(step, f"to decide: {outcome.value}, {proof}", task.host)
        return self.person.choose(step, task, outcome, proof)

    def reason(self, step: Step, task: HostTask) -> str:
        """Ask for the reason; the person has just answered, so there is no call."""
        return self.person.reason(step, task)

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Notify, then ask for yes or no; it is not journaled, because the run may not have begun."""
        self.notifier.notify(WAITING, f"{self.plan.title}: {question}")
        return self.person.agree(statements, question)

    def _ask(self, step: Step, what: str, host: str = "") -> None:
        asked(self.journal, step=step.key, host=host, who=self.name, what=what)
