"""An event of the journal as one sentence. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from runbooks.engine.model.journal import Event, Kind, deferral_text
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.waiting import waiting


def event_text(plan: Plan, event: Event) -> str:
    """Return an event in a sentence, e.g. `step 4, Disable auto-backup, db-shard-2: done, auto-backup is disabled`."""
    text = _TEXTS[event.kind](event)
    where = step_and_host(plan, event)
    return f"{where}: {text}" if where else text


def waits(plan: Plan, events: Sequence[Event]) -> str:
    """Return who is waited for, for what, since when, in a sentence; empty if no question waits."""
    question = waiting(events)
    if question is None:
        return ""
    where, since = step_and_host(plan, events[-1]), question.since.astimezone(plan.zone)
    return f"since {since:%H:%M:%S %Z} it waits for {question.who} {question.what} ({where})"


def step_and_host(plan: Plan, event: Event) -> str:
    """Return step and host of an event; empty if it concerns the night itself."""
    if not event.step:
        return ""
    titles = {step.key: f"step {step.label}, {step.title}" for step in plan.steps}
    step = titles.get(event.step, event.step)  # a changed plan may no longer have it
    return f"{step}, {event.host}" if event.host else step


def _answer(event: Event) -> str:
    if "confirmed" in event.data:
        return "typed the date" if event.data["confirmed"] else "did not type the date"
    if "approved" in event.data:
        return f"approved by {event.data['approved']}"
    return f"answered {event.data.get('answer')}"


def _resume(event: Event) -> str:
    return "the night resumes, with a changed plan" if "plan" in event.data else "the night resumes"


_TEXTS: Mapping[Kind, Callable[[Event], str]] = {
    Kind.BEGAN: lambda event: "the night begins",
    Kind.RESUMED: _resume,
    Kind.INTENT: lambda event: f"begun, {event.data['what']}",
    Kind.READING: lambda event: "state read, before the first act",
    Kind.QUESTION: lambda event: f"waits for {event.data['who']} {event.data['what']}",
    Kind.BROKEN: lambda event: f"{event.data['check']}: does not hold. {event.data['proof']}",
    Kind.ANSWER: _answer,
    Kind.RESULT: lambda event: f"{event.data['outcome']}, {event.data['proof']}",
    Kind.DEFERRED: lambda event: deferral_text(event.data),
    Kind.STOPPED: lambda event: f"the night stops. {event.data['reason']}",
    Kind.ABANDONED: lambda event: "the night is abandoned",
    Kind.ENDED: lambda event: "the night ends",
}
