"""What only looks at a night: its status, once or all the time, and its report."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from errors import CutoverError, UsageError
from inventory.model import Environment
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import Console, say
from runbooks.engine.model.journal import OVER, Event, NewerJournalError
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Clock
from runbooks.engine.model.redactor import redactor_for
from runbooks.engine.reporting.estimates import estimated, last_time
from runbooks.night import files, summary
from runbooks.night.earlier_nights import earlier_nights
from runbooks.night.report.files import Reporter

PAUSE = timedelta(seconds=2)  # between two looks at a night that is followed


def show_status(environment: Environment, plan: Plan) -> None:
    """Where the night stands; UsageError where it has not begun."""
    clock = SystemClock()
    events = _begun(environment, plan)
    plan = _estimated(environment, plan, events)
    at_work = files.at_work(environment)
    console = Console(clock=clock, redactor=redactor_for(environment))
    summary.show_status(console, plan, events, at_work=at_work, now=clock.now())


def follow_status(environment: Environment, plan: Plan) -> None:
    """Shows how the night goes on until its run ends, or Ctrl-C; UsageError where it has not begun."""
    clock = SystemClock()
    console = Console(clock=clock, redactor=redactor_for(environment))
    plan = _estimated(environment, plan, _begun(environment, plan))
    look = partial(files.newer, files.object_store_of(environment), plan.date)

    def show(events: tuple[Event, ...], shown: int) -> None:
        if console.redrawable:
            console.redraw(lambda: summary.show_progress(console, plan, events, clock.now()))
        else:
            summary.show_news(console, plan, events[shown:])

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
    """Looks again and again until the run is over; `look` takes what is known, `show` how much was shown before."""
    events: tuple[Event, ...] = ()
    while True:
        shown = len(events)
        try:
            events = look(events)
        except NewerJournalError:
            raise
        except CutoverError as error:
            warn(f"{error} Looking again.")
        if len(events) != shown:
            show(events, shown if shown < len(events) else 0)  # fewer: the night began afresh
        if events and events[-1].kind in OVER:
            return
        clock.wait(PAUSE)


def write_report(environment: Environment, plan: Plan, folder: str) -> None:
    """Writes the report beside the journal, or into a folder; UsageError where the night has not begun."""
    events = _begun(environment, plan)
    home = files.Files(environment, plan.date).journal.parent
    reporter = reporter_of(environment, plan, events, Path(folder).expanduser() if folder else home)
    paths = reporter.write(events, SystemClock().now(), at_work=bool(files.at_work(environment)))
    say("\n".join(str(path) for path in paths))


def reporter_of(environment: Environment, plan: Plan, events: tuple[Event, ...], folder: Path) -> Reporter:
    """Who writes the report of a night, compared with the night before it."""
    nights = earlier_nights(environment, events[0].at)
    return Reporter(plan=estimated(plan, nights), folder=folder, last=last_time(nights), figures=summary.figures)


def _estimated(environment: Environment, plan: Plan, events: tuple[Event, ...]) -> Plan:
    return estimated(plan, earlier_nights(environment, events[0].at))


def _begun(environment: Environment, plan: Plan) -> tuple[Event, ...]:
    events = files.events_of(environment, plan.date)
    if not events:
        raise UsageError(f"{plan.title} has not begun.", hint="inv cutover.run begins it.")
    return events
