"""The one question before a night's first act: its date, its figures, its end, and how it differs from the last one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from errors import AbortedError, RefusedError, UnknownError
from inventory.figures import Figures
from inventory.load import refuse_if_down
from inventory.model import Environment
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.model.forecast import Forecast
from runbooks.engine.model.history import Facts, History
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.preconditions import Finding
from runbooks.engine.model.redactor import redactor_for
from runbooks.engine.model.step import Check, Truth
from runbooks.engine.reporting.figures_text import compared, end_line, figure_lines
from runbooks.engine.run.context import RunContext
from runbooks.night.live_ports import live_executor


def figures_of(findings: Iterable[Finding]) -> Figures | None:
    """Return the figures that preflight counted; None if it did not."""
    for finding in findings:
        figures = finding.verdict.figures.get("figures")
        if isinstance(figures, Figures):
            return figures
    return None


def count_now(environment: Environment, check: Check) -> Figures:
    """Return the figures as the debug host counts them now, by the check of its scope.

    Raises RefusedError if its scope is another, UnknownError if it can't be asked.
    """
    refuse_if_down(environment)
    clock = SystemClock()
    with redactor_for(environment).errors(), live_executor(environment, clock) as executor:
        verdict = executor.look(check, Facts(now=clock.now(), history=History()), expected=True)
    figures = verdict.figures.get("figures")
    if isinstance(figures, Figures):
        return figures
    kind = RefusedError if verdict.truth is Truth.FAILS else UnknownError
    raise kind(f"Counting failed: {verdict.proof}.", hint="inv archive.scope --count on the debug host shows more.")


def ask_to_begin(context: RunContext, figures: Figures | None) -> tuple[str, ...]:
    """Ask once whether the night is to begin, and return what was shown. Raises AbortedError if it is not."""
    statements = (*_date(context), *_counted(context, figures), *_end(context))
    differs = [statement for statement in statements if statement.startswith("! ")]
    question = f"Begin the night of {context.plan.date}{' all the same' if differs else ''}?"
    if not context.person.agree(statements, question):
        raise AbortedError("Aborted by the operator before the first step; nothing was done.")
    return statements


def _date(context: RunContext) -> Iterator[str]:
    now, day = context.clock.now().astimezone(context.plan.zone), date.fromisoformat(context.plan.date)
    if now.date() == day:
        yield f"The night of {day:%a} {day}, which is today; it is {now:%H:%M}."
    else:
        yield f"! The night of {day:%a} {day}, which is not today: it is {now:%a} {now.date()}, {now:%H:%M}."


def _counted(context: RunContext, figures: Figures | None) -> Iterator[str]:
    if figures is None:
        yield f"Its schools are not counted: inv cutover.plan --date={context.plan.date} --count counts them."
        return
    yield from figure_lines(figures, context.plan.zone)
    if context.last.amounts:
        yield from compared(figures, context.last.amounts, context.last.name)
    else:
        yield "There are no figures of an earlier night to compare these with."


def _end(context: RunContext) -> Iterator[str]:
    """Yield when the night is done if it begins now, and what its window says about that."""
    plan, now = context.plan, context.clock.now()
    window = plan.window_end(now)
    seen = Forecast(
        now=now.astimezone(plan.zone),
        began=now.astimezone(plan.zone),
        left=_left(plan),
        window_end=window.astimezone(plan.zone) if window else None,
    )
    yield f"{end_line(seen)}."
    yield from (f"! {warning}" for warning in seen.warnings)


def _left(plan: Plan) -> timedelta:
    return sum((step.estimate or timedelta() for step in plan.steps), timedelta())
