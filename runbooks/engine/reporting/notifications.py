"""Notifications to people who are not at the terminal, about the journal's events and waiting questions."""

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
NOTIFIED = (Kind.BEGAN, Kind.RESUMED, Kind.ABANDONED, Kind.STOPPED, Kind.ENDED)


class NoNotifier:
    """A notifier without a recipient."""

    def notify(self, event: str, text: str, step: str = "") -> None:
        """Do nothing."""


@dataclass(frozen=True)
class Announcer:
    """Listens to a journal and sends its important events to a notifier."""

    plan: Plan
    journal: Journal
    notifier: Notifier

    def on_event(self, event: Event) -> None:
        """Send a notification of a start, failure, point of no return or end; ignore other events."""
        text = f"{self.plan.title}: {event_text(self.plan, event)} ({event.operator})"
        if event.kind in NOTIFIED:
            self.notifier.notify(event.kind.value, text)
        elif event.kind is Kind.RESULT and event.data["outcome"] not in GOOD:
            self.notifier.notify(event.data["outcome"], text, event.step)
        elif event.data.get("confirmed") and self.plan.approve:
            self.notifier.notify(WAITING, f"{text}. Waiting for a second person: {self.plan.approve}", event.step)
        elif event.kind is Kind.INTENT and self._passes(event):
            self.notifier.notify(POINT, f"{text}. The point of no return is passed", event.step)

    def _passes(self, event: Event) -> bool:
        """True if an irreversible step begins with this event, for the first time."""
        if not any(step.key == event.step and step.point_of_no_return for step in self.plan.steps):
            return False
        intents = (other for other in self.journal.events if (other.kind, other.step) == (Kind.INTENT, event.step))
        return next(intents) == event


@dataclass
class NotifyingPerson:
    """A person who may have walked away: each question is sent to the notifier before it is asked."""

    person: Person
    plan: Plan
    notifier: Notifier
    _asked: str = ""  # the step already notified; its other hosts follow at once

    @property
    def present(self) -> bool:
        """True if a person can be asked."""
        return self.person.present

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Notify once per step, then have the person do it by hand."""
        if step.key != self._asked:
            self._asked = step.key
            self._call(step, f"waits for a person to do it by hand, on {task.host}")
        return self.person.perform(step, task, note)

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Notify, then have the person type the word."""
        self._call(step, f"waits for {word} to be typed: the point of no return")
        return self.person.confirm(step, statements, word)

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """Notify, then ask for a decision about a failure."""
        self._call(step, f"waits for a decision: {task.host} is {outcome.value}, {proof}")
        return self.person.choose(step, task, outcome, proof)

    def reason(self, step: Step, task: HostTask) -> str:
        """Ask for the reason, without a notification: the person has just answered."""
        return self.person.reason(step, task)

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Notify, then ask for yes or no."""
        self.notifier.notify(WAITING, f"{self.plan.title}: {question}")
        return self.person.agree(statements, question)

    def _call(self, step: Step, what: str) -> None:
        text = f"{self.plan.title}: step {step.number}, {step.title}, {what}"
        self.notifier.notify(WAITING, text, step.key)
