"""Read-only views of a night: its status, once or followed, and its report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from errors import CutoverError, UsageError
from inventory.model import Environment
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import Console, say
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import OVER, Event, NewerJournalError
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Clock
from runbooks.engine.model.redactor import redactor_for
from runbooks.engine.model.stillness import Standing, standing_of
from runbooks.engine.reporting.estimates import counted, estimated, last_time
from runbooks.night import files, summary
from runbooks.night.earlier_nights import earlier_nights
from runbooks.night.report.files import Reporter
from runbooks.night.watch import Look, Signs, StandsStill, look_at

PAUSE = timedelta(seconds=2)  # between two looks at a night that is being followed


def show_status(environment: Environment, plan: Plan) -> None:
    """Show the state of the night; UsageError if it has not begun."""
    clock = SystemClock()
    events = _begun(environment, plan)
    plan = _estimated(environment, plan, events)
    at_work = files.at_work(environment)
    console = Console(clock=clock, redactor=redactor_for(environment))
    summary.show_status(console, plan, events, at_work=at_work, now=clock.now())


def follow_status(environment: Environment, plan: Plan) -> None:
    """Show the progress of the night until its run ends or Ctrl-C is pressed; UsageError if it has not begun.

    Raises StandsStill if its run gave no sign for a while: it died, or its machine is gone.
    """
    clock = SystemClock()
    console = Console(clock=clock, redactor=redactor_for(environment))
    plan = _estimated(environment, plan, _begun(environment, plan))
    store, signs = files.readable_store(environment, console.say), Signs(clock)

    def look(events: tuple[Event, ...]) -> tuple[Event, ...]:
        seen = look_at(store, plan.date, Look(events))
        standing = standing_of(seen.events, signs.silence(seen))
        if seen.events == events and standing.standing is Standing.STILL:
            raise StandsStill(f"{plan.title} {standing.standing.value}: {standing.text}.", hint=plan.go_on)
        return seen.events

    def show(events: tuple[Event, ...], displayed: int) -> None:
        if console.redrawable:
            console.redraw(lambda: summary.show_progress(console, plan, events, clock.now()))
        else:
            summary.show_news(console, plan, events[displayed:])

    try:
        follow(look, show, clock, console.warn)
    except KeyboardInterrupt:
        console.say("\nNo longer followed; the night goes on.")


def follow(
    look: Callable[[tuple[Event, ...]], tuple[Event, ...]],
    show: Callable[[tuple[Event, ...], int], None],
    clock: Clock,
    warn: Callable[[str], None],
) -> None:
    """Look until the run is over; `look` takes the events so far, `show` also how many were displayed before."""
    events: tuple[Event, ...] = ()
    while True:
        displayed = len(events)
        try:
            events = look(events)
        except (NewerJournalError, StandsStill):
            raise
        except CutoverError as error:
            warn(f"{error} Looking again.")
        if len(events) != displayed:
            show(events, displayed if displayed < len(events) else 0)  # fewer: the night began again
        if events and events[-1].kind in OVER:
            return
        clock.wait(PAUSE)


def write_report(environment: Environment, plan: Plan, folder: str) -> None:
    """Write the report next to the journal, or into a folder; UsageError if the night has not begun."""
    events = _begun(environment, plan)
    home = files.Files(environment, plan.date).journal.parent
    reporter = reporter_of(environment, plan, events, Path(folder).expanduser() if folder else home)
    paths = reporter.write(events, SystemClock().now(), at_work=bool(files.at_work(environment)))
    say("\n".join(str(path) for path in paths))


def reporter_of(environment: Environment, plan: Plan, events: tuple[Event, ...], folder: Path) -> Reporter:
    """Return the writer of a night's report, which compares the night with the one before it."""
    nights = earlier_nights(environment, events[0].at)
    return Reporter(plan=estimated(plan, nights), folder=folder, last=last_time(nights), figures=summary.figures)


def _estimated(environment: Environment, plan: Plan, events: tuple[Event, ...]) -> Plan:
    return counted(estimated(plan, earlier_nights(environment, events[0].at)), read_history(events).figures)


def _begun(environment: Environment, plan: Plan) -> tuple[Event, ...]:
    events = files.events_of(environment, plan.date)
    if not events:
        raise UsageError(f"{plan.title} has not begun.", hint="inv cutover.run begins it.")
    return events
