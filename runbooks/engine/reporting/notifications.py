"""What people who are not at the terminal are told: by the journal's events, and by questions that wait."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.engine.model.journal import Event, Journal, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Choice, Notifier, Person
from runbooks.engine.model.step import HostTask, Step
from runbooks.engine.reporting.event_text import event_text

WAITING, POINT = "waiting", "point of no return"
GOOD = (Outcome.DONE.value, Outcome.SKIPPED.value)
TOLD = (Kind.BEGAN, Kind.RESUMED, Kind.ABANDONED, Kind.STOPPED, Kind.ENDED)


class NoNotifier:
    """A herald of whom nobody wants to hear."""

    def notify(self, event: str, text: str, step: str = "") -> None:
        """Nothing."""


@dataclass(frozen=True)
class Announcer:
    """Listens to a journal, and has the herald tell what matters."""

    plan: Plan
    journal: Journal
    notifier: Notifier

    def on_event(self, event: Event) -> None:
        """Tells start, failure, point of no return and end; leaves the rest."""
        text = f"{self.plan.title}: {event_text(self.plan, event)} ({event.operator})"
        if event.kind in TOLD:
            self.notifier.notify(event.kind.value, text)
        elif event.kind is Kind.RESULT and event.data["outcome"] not in GOOD:
            self.notifier.notify(event.data["outcome"], text, event.step)
        elif event.data.get("confirmed") and self.plan.approve:
            self.notifier.notify(WAITING, f"{text}. Waiting for a second person: {self.plan.approve}", event.step)
        elif event.kind is Kind.INTENT and self._passes(event):
            self.notifier.notify(POINT, f"{text}. The point of no return is passed", event.step)

    def _passes(self, event: Event) -> bool:
        """Whether a step that can't be undone begins with it, for the first time."""
        if not any(step.key == event.step and step.point_of_no_return for step in self.plan.steps):
            return False
        begun = (told for told in self.journal.events if (told.kind, told.step) == (Kind.INTENT, event.step))
        return next(begun) == event


@dataclass
class NotifyingPerson:
    """A person who may have walked away: the herald tells of each question before it is asked."""

    person: Person
    plan: Plan
    notifier: Notifier
    _asked: str = ""  # the step whose instructions wait; its other hosts follow at once

    @property
    def present(self) -> bool:
        """Whether there is anybody to ask."""
        return self.person.present

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Does it by hand."""
        if step.key != self._asked:
            self._asked = step.key
            self._call(step, f"waits for somebody to do it by hand, on {task.host}")
        return self.person.perform(step, task, note)

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Types the word, or does not."""
        self._call(step, f"waits for {word} to be typed: the point of no return")
        return self.person.confirm(step, statements, word)

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """Decides about a failure."""
        self._call(step, f"waits for a decision: {task.host} is {outcome.value}, {proof}")
        return self.person.choose(step, task, outcome, proof)

    def reason(self, step: Step, task: HostTask) -> str:
        """Says why; whoever does has just answered."""
        return self.person.reason(step, task)

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Says yes or no."""
        self.notifier.notify(WAITING, f"{self.plan.title}: {question}")
        return self.person.agree(statements, question)

    def _call(self, step: Step, what: str) -> None:
        text = f"{self.plan.title}: step {step.number}, {step.title}, {what}"
        self.notifier.notify(WAITING, text, step.key)
