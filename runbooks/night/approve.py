"""The second person's part of a night: see what was typed for, approve it, and hear what became of the approval."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta

from errors import AbortedError, UsageError
from inventory.model import Environment
from runbooks.engine.live.approval import Request, put_approval, requested
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Clock
from runbooks.night import files
from runbooks.night.run import Terminal

LOOK_EVERY = timedelta(seconds=1)
LONGEST = timedelta(minutes=1)  # a run that waits looks every two seconds


def approve(environment: Environment, plan: Plan, terminal: Terminal) -> None:
    """Approve a point of no return that waits for a second person, and say what the run made of it.

    Raises UsageError if none waits, its night is over or no person is present, RefusedError if this operator typed the
    date, AbortedError if the date is not typed.
    """
    object_store, me = files.object_store_of(environment), files.me()
    request = _waiting(plan, requested(files.events_of(environment, plan.date)), terminal.clock)
    request.refuse_typist(me)
    if not terminal.person.present:
        raise UsageError("Approving asks a person, and there is no terminal.", hint="Run it in a terminal.")
    said = (f"{request.typist} typed the date at {request.at:%Y-%m-%d %H:%M:%S} UTC.", *request.statements)
    if not terminal.person.confirm(plan.step(request.step), said, plan.date):
        raise AbortedError("Not approved.", hint="The run keeps waiting.")
    put_approval(object_store, request, me)
    terminal.console.say(f"Approved by {me}.", style="green")
    terminal.console.say(await_outcome(lambda: files.events_of(environment, plan.date), request, plan, terminal.clock))


def _waiting(plan: Plan, request: Request | None, clock: Clock) -> Request:
    if request is None:
        raise UsageError(
            f"{plan.title} does not wait for an approval.", hint="inv cutover.status shows where it stands."
        )
    if clock.now() >= plan.word_ends(request.at):
        typed = f"{request.typist} typed the date at {request.at:%Y-%m-%d %H:%M} UTC"
        raise UsageError(f"{plan.title} does not wait for an approval: {typed}, in a night that is over.")
    return request


def await_outcome(read: Callable[[], Iterable[Event]], request: Request, plan: Plan, clock: Clock) -> str:
    """Return a sentence that says what became of an approval, once the journal says so; at most a minute later."""
    until = clock.now() + LONGEST
    while clock.now() < until:
        if outcome := _outcome(read(), request, plan):
            return outcome
        clock.wait(LOOK_EVERY)
    return f"The run has not taken it up yet. inv cutover.status --date={plan.date} shows where it stands."


def _outcome(events: Iterable[Event], request: Request, plan: Plan) -> str:
    """Return what became of an approval since the request, as a sentence; empty while the run waits."""
    outcome = ""
    for event in (event for event in events if event.number > request.number):
        if event.data.get("approved"):
            return f"The run has taken it up: {plan.step(request.step).title} begins."
        if event.data.get("confirmed"):
            return f"It counts no longer: {event.operator} has typed the date again."
        if event.kind is Kind.ABANDONED:
            return "It counts no longer: the night is abandoned."
        if event.kind is Kind.STOPPED:
            outcome = f"The run has stopped. {plan.resume} takes the approval up, until the night is over."
        elif event.kind is Kind.RESUMED:
            outcome = ""
    return outcome
