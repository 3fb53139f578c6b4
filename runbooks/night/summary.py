"""The status and the closing summary of a night: steps, times, proofs, totals, what is still off."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from formatting import clock_span, in_minutes, size
from runbooks.engine.live.console import Console
from runbooks.engine.model.debts import owed, summed
from runbooks.engine.model.forecast import forecast
from runbooks.engine.model.history import History, read_history
from runbooks.engine.model.journal import Event
from runbooks.engine.model.outcome import SETTLED
from runbooks.engine.model.plan import Plan
from runbooks.engine.reporting.event_text import event_text, waits
from runbooks.engine.reporting.figures_text import figure_lines
from runbooks.engine.reporting.step_report import StepReport, done_so_far, reported

COLUMNS = ("#", "step", "outcome", "time", "proof")
PROGRESS = ("#", "step", "outcome", "hosts", "time", "estimate")
LATEST = 3  # events that are shown below a running night


def show_closing(console: Console, plan: Plan, events: Sequence[Event]) -> None:
    """Show the closing summary of a finished night."""
    history = read_history(events)
    console.say(f"\n{plan.title}: done in {clock_span(_length(history))}.", style="bold green")
    _show_steps(console, reported(plan, history))
    for line in figures(plan, history):
        console.say(f"  {line}")
    debts = owed(events)
    console.say(f"  still off: {summed(debts)}" if debts else "  everything is back on", style="bold")


def show_status(console: Console, plan: Plan, events: tuple[Event, ...], *, at_work: str, now: datetime) -> None:
    """Show the state of a night."""
    history = read_history(events)
    reports = reported(plan, history, at_work=bool(at_work))
    console.say(f"{plan.title}: {done_so_far(reports)} of {len(reports)} steps", style="bold")
    console.say(f"  active run: {at_work or 'none'}")
    if at_work and (question := waits(plan, events)):
        console.say(f"  {question}", style="bold yellow")
    if history.abandoned:
        console.say(f"  abandoned: {history.abandoned}")
    console.clock(forecast(plan, events, now))
    _show_steps(console, reports)
    for line in figures(plan, history):
        console.say(f"  {line}")
    console.still_off(owed(events))


def show_progress(console: Console, plan: Plan, events: tuple[Event, ...], now: datetime) -> None:
    """Show a running night on one screen: a line per step, the clock, what is still off, and the latest events."""
    history = read_history(events)
    reports = reported(plan, history, at_work=True)
    console.say(f"{plan.title}: {done_so_far(reports)} of {len(reports)} steps", style="bold")
    console.table(PROGRESS, [_progress(report, history) for report in reports], numbers=("#", "time"))
    console.clock(forecast(plan, events, now))
    console.owed(owed(events))
    if question := waits(plan, events):
        console.say(f"  {question}", style="bold yellow")
    show_news(console, plan, events[-LATEST:])


def show_news(console: Console, plan: Plan, events: Iterable[Event]) -> None:
    """Show events, one per line."""
    for event in events:
        console.say(f"  {event.at.astimezone(plan.zone):%H:%M:%S}  {event_text(plan, event)} ({event.operator})")


def _progress(report: StepReport, history: History) -> tuple[str, ...]:
    step = report.step
    done = sum(1 for task in step.tasks if history.task_state(step.key, task.host).outcome in SETTLED)
    spent = clock_span(report.spent) if report.spent is not None else ""
    estimate = f"{in_minutes(step.estimate)}, {step.basis}" if step.estimate else ""
    return step.label, step.title, report.outcome.value, f"{done}/{len(step.tasks)}", spent, estimate


def _show_steps(console: Console, reports: Iterable[StepReport]) -> None:
    console.table(COLUMNS, [_row(report) for report in reports], numbers=("#", "time"))


def _row(report: StepReport) -> tuple[str, ...]:
    step = report.step
    spent = clock_span(report.spent) if report.spent is not None else ""
    return step.label, step.title, report.outcome.value, spent, "\n".join(report.proofs)


def figures(plan: Plan, history: History) -> Iterator[str]:
    """Yield the figures as counted before the night, then totals as far as the steps have recorded them."""
    if history.figures:
        yield from figure_lines(history.figures, plan.zone)
    for task in plan.step("archiving.run").tasks:
        figures = history.task_state("archiving.run", task.host).figures
        if figures:
            yield f"schools: {figures['selected']} archived, {figures['excluded']} left out"
            yield f"rows: {figures['rows']:,} in archives of {size(figures['size'])}"
    sizes = [history.task_state("vacuum.full", task.host).figures for task in plan.step("vacuum.full").tasks]
    measured = [figures for figures in sizes if figures.get("before") is not None]
    if measured and len(measured) == len(sizes):
        before, after = (sum(figures[key] for figures in measured) for key in ("before", "after"))
        yield f"databases: {size(before)} → {size(after)}"
    yield from (f"{warning}" for warning in plan.step("backups.dump").warning)


def _length(history: History) -> timedelta:
    return history.ended - history.began if history.began and history.ended else timedelta()
