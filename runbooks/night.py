"""A night's files, lock and journal, and the ways to conduct it: fresh, resumed, one step alone, or dry."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from archiver.who import host, operator
from errors import LockedError, UsageError
from inventory.load import ROOT, overlay_path
from inventory.model import Environment
from runbooks import summary
from runbooks.engine.clock import SystemClock
from runbooks.engine.console import DRY, Console
from runbooks.engine.journal import Event, FileJournal, Journal, Kind, Redactor, read_events
from runbooks.engine.lock import held, holder
from runbooks.engine.person import Imagined, Nobody, Operator
from runbooks.engine.plan import Plan
from runbooks.engine.ports import Person
from runbooks.engine.runner import Runner
from runbooks.engine.stage import Stage
from runbooks.engine.step import Step
from runbooks.engine.world import DryWorld
from runbooks.ports import live_world

SECRET_WORDS = ("PASSWORD", "PASSWD", "SECRET", "TOKEN", "ACCESS_KEY", "API_KEY", "IDENTITY")


@dataclass(frozen=True)
class Cast:
    """Who is on stage: the clock, the console and the person who answers."""

    clock: SystemClock
    console: Console
    person: Person


def cast() -> Cast:
    """The operator at this terminal, or nobody where there is none."""
    clock = SystemClock()
    console = Console(clock=clock)
    return Cast(clock, console, Operator(console) if console.interactive else Nobody())


@dataclass(frozen=True)
class Files:
    """Where a night is kept, such as .cutover/rehearsal/2014-08-15/journal.jsonl."""

    environment: Environment
    date: str

    @property
    def home(self) -> Path:
        """The environment's folder."""
        return ROOT / Path(self.environment.state).expanduser() / self.environment.name

    @property
    def journal(self) -> Path:
        """The night's journal."""
        return self.home / self.date / "journal.jsonl"

    @property
    def lock(self) -> Path:
        """Held by whoever is at work in the environment."""
        return self.home / "lock"

    def set_aside(self) -> None:
        """Renames the journal of an earlier run, so that a new one can begin; it is kept."""
        if self.journal.exists():
            stamp = datetime.fromtimestamp(self.journal.stat().st_mtime, UTC)
            self.journal.rename(self.journal.with_name(f"journal-{stamp:%Y%m%dT%H%M%S%f}.jsonl"))


def events_of(environment: Environment, date: str) -> tuple[Event, ...]:
    """The night's journal so far, for whoever only reads it; empty where it has not begun."""
    return read_events(Files(environment, date).journal)


def refuse_if_at_work(environment: Environment) -> None:
    """LockedError where somebody is at work in the environment."""
    if who := holder(Files(environment, "").lock):
        raise LockedError(f"Somebody is at work in {environment.name}: {who}.", hint="Wait until it has ended.")


def run(environment: Environment, plan: Plan, cast: Cast, *, afresh: bool = False) -> None:
    """The whole night, on a fresh journal; `afresh` sets an earlier one aside.

    Raises UsageError where the night began before, or nobody is there to answer.
    """
    _refuse_unattended(plan.asks, cast.person)
    with _stage(environment, plan, cast, "running", afresh=afresh) as stage:
        if stage.journal.events:
            raise UsageError(f"{plan.title} began before.", hint=plan.go_on)
        _begin(stage)
        _conduct(stage, cast.console, Runner.run)
        summary.show_closing(cast.console, plan, stage.journal.events)


def resume(environment: Environment, plan: Plan, cast: Cast) -> None:
    """What is left of the night; UsageError where it has not begun, or nobody is there to answer."""
    _refuse_unattended(plan.asks, cast.person)
    with _stage(environment, plan, cast, "resuming") as stage:
        if not stage.journal.events:
            raise UsageError(f"{plan.title} has not begun.", hint="inv cutover.run begins it.")
        _go_on(stage)
        _conduct(stage, cast.console, Runner.run)
        summary.show_closing(cast.console, plan, stage.journal.events)


def run_alone(environment: Environment, plan: Plan, cast: Cast, key: str) -> None:
    """One step, in the night's journal, which it begins where there is none."""
    step = plan.step(key)
    _refuse_unattended([asking for asking in plan.asks if asking == step], cast.person)
    with _stage(environment, plan, cast, key) as stage:
        if stage.journal.events:
            _go_on(stage)
        else:
            _begin(stage)
        _conduct(stage, cast.console, lambda runner: runner.run_alone(step))


def run_dry(plan: Plan) -> None:
    """The night by the same runner, in a world without transport; writes no file."""
    clock = SystemClock()
    console = Console(clock=clock, looks=DRY)
    journal = Journal(now=clock.now, operator="dry run")
    stage = Stage(
        plan=plan, world=DryWorld(), journal=journal, clock=clock, person=Imagined(console), screen=console, hands=1
    )
    console.opening(f"DRY RUN of {plan.title}", plan.notes)
    _begin(stage)
    Runner(stage).run()
    console.say("\nThis was a dry run: nothing was looked at and nothing was done.", style="bold")


def show_status(environment: Environment, plan: Plan) -> None:
    """Where the night stands; UsageError where it has not begun."""
    files = Files(environment, plan.date)
    events = events_of(environment, plan.date)
    if not events:
        raise UsageError(f"{plan.title} has not begun.", hint="inv cutover.run begins it.")
    summary.show_status(Console(clock=SystemClock()), plan, events, at_work=holder(files.lock))


@contextmanager
def _stage(environment: Environment, plan: Plan, cast: Cast, what: str, *, afresh: bool = False) -> Iterator[Stage]:
    """Everything a live run needs, with the environment's lock held."""
    _refuse_absent_lab(environment)
    files = Files(environment, plan.date)
    with held(files.lock, _about(f"{what} {plan.title}")):
        if afresh:
            files.set_aside()
        who = f"{operator()}@{host()}"
        journal = FileJournal(files.journal, now=cast.clock.now, operator=who, redactor=_redactor())
        with live_world(environment, cast.clock) as world:
            yield Stage(
                plan=plan, world=world, journal=journal, clock=cast.clock, person=cast.person, screen=cast.console
            )


def _refuse_absent_lab(environment: Environment) -> None:
    """A rehearsal is there while the file that its lab lays over the inventory is."""
    overlay = overlay_path(environment.overlay)
    if overlay is not None and not overlay.exists():
        raise UsageError(f"The {environment.name} is not up: there is no {overlay}.", hint="inv rehearsal.up")


def _refuse_unattended(asking: Sequence[Step], person: Person) -> None:
    if asking and not person.present:
        keys = ", ".join(step.key for step in asking)
        raise UsageError(f"These steps ask a person, and there is no terminal: {keys}.", hint="Run it in a terminal.")


def _begin(stage: Stage) -> None:
    run_id = f"{stage.plan.environment}-{stage.plan.date}-{secrets.token_hex(4)}"
    keys = [step.key for step in stage.plan.steps]
    stage.journal.append(Kind.BEGAN, run=run_id, digest=stage.plan.digest, title=stage.plan.title, steps=keys)


def _go_on(stage: Stage) -> None:
    if stage.history().digest != stage.plan.digest:
        stage.screen.warn("The plan is not the one this night began with: see inv cutover.plan.")
    stage.journal.append(Kind.RESUMED, digest=stage.plan.digest)


def _conduct(stage: Stage, console: Console, work: Callable[[Runner], None]) -> None:
    """Runs, and says what is still switched off, however it ends."""
    console.opening(stage.plan.title, (*stage.plan.notes, f"plan {stage.plan.digest}, run {stage.history().run}"))
    try:
        work(Runner(stage))
    except KeyboardInterrupt:
        stage.screen.warn(f"Interrupted. A command that was begun goes on at its host; {stage.plan.go_on}")
        raise
    finally:
        stage.screen.still_off(stage.debts())


def _about(what: str) -> dict[str, str]:
    since = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return {"who": operator(), "where": host(), "pid": str(os.getpid()), "what": what, "since": since}


def _redactor() -> Redactor:
    return Redactor(value for name, value in os.environ.items() if any(word in name.upper() for word in SECRET_WORDS))
