"""Notifications to people who are not at the terminal, about the journal's events."""

from __future__ import annotations

from dataclasses import dataclass

from runbooks.engine.model.journal import Event, Journal, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Notifier
from runbooks.engine.model.waiting import BY_HAND
from runbooks.engine.reporting.event_text import event_text

WAITING, POINT = "waiting", "point of no return"
GOOD = (Outcome.DONE.value, Outcome.SKIPPED.value)
NOTIFIED = (Kind.BEGAN, Kind.RESUMED, Kind.BROKEN, Kind.ABANDONED, Kind.STOPPED, Kind.ENDED)


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
        """Send a notification of a start, question, failure, point of no return or end; ignore other events."""
        text = f"{self.plan.title}: {event_text(self.plan, event)} ({event.operator})"
        if event.kind in NOTIFIED:
            self.notifier.notify(event.kind.value, text)
        elif event.kind is Kind.RESULT and event.data["outcome"] not in GOOD:
            self.notifier.notify(event.data["outcome"], text, event.step)
        elif event.kind is Kind.QUESTION and not self._asked_already(event):
            self.notifier.notify(WAITING, text, event.step)
        elif event.kind is Kind.INTENT and self._passes(event):
            self.notifier.notify(POINT, f"{text}. The point of no return is passed", event.step)

    def _asked_already(self, event: Event) -> bool:
        """True if the question before this one was the same, of another host of the step: those follow at once."""
        questions = [other for other in self.journal.events if other.kind is Kind.QUESTION]
        before = next((other for other in reversed(questions) if other.number < event.number), None)
        return before is not None and (before.step, before.data["what"], event.data["what"]) == (
            event.step,
            BY_HAND,
            BY_HAND,
        )

    def _passes(self, event: Event) -> bool:
        """True if an irreversible step begins with this event, for the first time."""
        if not any(step.key == event.step and step.point_of_no_return for step in self.plan.steps):
            return False
        intents = (other for other in self.journal.events if (other.kind, other.step) == (Kind.INTENT, event.step))
        return next(intents) == event
