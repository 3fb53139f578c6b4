"""Watch a night from a second machine, by the shared journal alone, and call a person when it stands still."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from errors import CutoverError, ExitCode
from formatting import span
from inventory.model import Environment
from runbooks.engine.live.console import Console
from runbooks.engine.live.store_journal import current_folder
from runbooks.engine.model.journal import Event, NewerJournalError
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Clock, ObjectStore
from runbooks.engine.model.stillness import PATIENCE, Seen, Standing, age, standing_of
from runbooks.engine.reporting.event_text import waits
from runbooks.night import files
from runbooks.night.heartbeat import last_beat
from runbooks.night.webhook import Webhook, url_of

PAUSE = timedelta(seconds=10)  # between two looks
AGAIN = timedelta(minutes=10)  # between two calls about the same


class StandsStill(CutoverError):
    """No run is at work, and something is still off."""

    exit_code = ExitCode.DEBT


class Unwatched(CutoverError):
    """The shared journal can't be read, so the night is not watched."""

    exit_code = ExitCode.UNKNOWN


class Caller(Protocol):
    """Calls a person."""

    def __call__(self, event: str, text: str) -> bool:
        """Return whether the call arrived."""


@dataclass(frozen=True)
class Look:
    """A night's events and its newest heartbeat, as the store has them."""

    events: tuple[Event, ...] = ()
    beats: int = 0
    beat: datetime | None = None


def look_once(environment: Environment, plan: Plan, clock: Clock, say: Callable[[str], None]) -> None:
    """Look at the night once; raises StandsStill, or Unwatched if the store can't be read."""
    try:
        look = look_at(files.object_store_of(environment), plan.date, Look())
    except CutoverError as error:
        raise Unwatched(f"{plan.title} can't be watched: {error}", hint=error.hint) from error
    standing = standing_of(look.events, age(look.events, look.beat, clock.now()))
    if standing.standing is Standing.STILL:
        raise StandsStill(f"{plan.title} {standing.standing.value}: {standing.text}.", hint=plan.go_on)
    say(f"{plan.title} {standing.standing.value}: {waits(plan, look.events) or standing.text}.")


def watch(environment: Environment, plan: Plan, clock: Clock, console: Console) -> None:
    """Watch the night until it is over, and call the webhook when it stands still or can't be seen.

    Without a webhook, raises StandsStill or Unwatched: the exit code is then the call.
    """
    url = url_of(environment.webhook, console.warn, "No call can be made")
    store = files.object_store_of(environment)
    watcher = Watcher(plan, clock, console.say, caller(Webhook(url, console.warn), environment, plan) if url else None)
    while not watcher.look(lambda before: look_at(store, plan.date, before)):
        clock.wait(PAUSE)


def caller(webhook: Webhook, environment: Environment, plan: Plan) -> Caller:
    """Return a function that posts to the webhook."""

    def call(event: str, text: str) -> bool:
        about = {"night": plan.date, "environment": environment.name, "step": ""}
        return webhook.arrives({"text": text, "event": event, **about})

    return call


def look_at(object_store: ObjectStore, date: str, before: Look) -> Look:
    """Return what is in the store now; events of the look before are not fetched again. CutoverError without store."""
    events = files.newer(object_store, date, before.events)
    number, beat = last_beat(object_store, current_folder(object_store, date))
    return Look(events, number, beat)


class Signs:
    """The signs of a run: its events and heartbeats; only at the first look their age is by another machine's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._look = Look()
        self._sign = clock.ticks()  # when a run last gave a sign, by this machine's clock

    def silence(self, look: Look) -> timedelta:
        """Return the time since the last sign, as of this look."""
        now = self._clock.ticks()
        if not self._look.events:
            self._sign = now - age(look.events, look.beat, self._clock.now()).total_seconds()
        elif (len(look.events), look.beats) != (len(self._look.events), self._look.beats):
            self._sign = now
        self._look = look
        return timedelta(seconds=now - self._sign)


class Watcher:
    """Remembers what was seen last, and what the last call was about."""

    def __init__(self, plan: Plan, clock: Clock, say: Callable[[str], None], call: Caller | None) -> None:
        self._plan = plan
        self._clock = clock
        self._say = say
        self._call = call
        self._look = Look()
        self._signs = Signs(clock)
        self._sight = clock.ticks()  # when the store was last read
        self._said = ""
        self._called: tuple[str, float] | None = None  # about what, and when

    def look(self, take: Callable[[Look], Look]) -> bool:
        """Look once, and call if that is due; return whether the night is over."""
        try:
            look = take(self._look)
        except NewerJournalError:
            raise
        except CutoverError as error:
            self._unseen(error)
            return False
        self._look, self._sight = look, self._clock.ticks()
        standing = standing_of(look.events, self._signs.silence(look))
        self._tell(standing)
        return standing.standing is Standing.OVER

    def _tell(self, standing: Seen) -> None:
        text = f"{self._plan.title} {standing.standing.value}: "
        if standing.standing is Standing.STILL:
            self._due(StandsStill(f"{text}{standing.text}.", hint=self._plan.go_on))
            return
        if self._called and self._call:
            self._call("goes on", f"{text}{standing.text}.")
        self._called = None
        self._show(f"{text}{waits(self._plan, self._look.events) or standing.text}.")

    def _unseen(self, error: CutoverError) -> None:
        blind = timedelta(seconds=self._clock.ticks() - self._sight)
        self._show(f"{error} Looking again.")
        if blind >= PATIENCE:
            self._due(Unwatched(f"{self._plan.title} has not been seen for {span(blind)}: {error}", hint=error.hint))

    def _due(self, error: CutoverError) -> None:
        """Call about it, unless that was done lately; without a webhook, raise it."""
        now, about = self._clock.ticks(), type(error).__name__
        if self._called and self._called[0] == about and now - self._called[1] < AGAIN.total_seconds():
            return
        if self._call is None:
            raise error
        self._show(str(error))
        if self._call(
            "stands still" if isinstance(error, StandsStill) else "unwatched", f"{error} {error.hint}".strip()
        ):
            self._called = (about, now)

    def _show(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(f"{self._clock.now().astimezone(self._plan.zone):%H:%M:%S %Z}  {text}")
