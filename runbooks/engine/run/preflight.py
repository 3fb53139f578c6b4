"""Check all preconditions of a night, and refuse with every problem at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from errors import RefusedError
from formatting import many, span
from runbooks.engine.model.history import Facts
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Executor
from runbooks.engine.model.preconditions import CLOCKS_APART, Finding, Subject, all_night
from runbooks.engine.run.context import RunContext
from runbooks.engine.run.fanout import fan_out

MOST = 32  # subjects at a time, so that one that hangs does not delay the others


def examine(subjects: Sequence[Subject], executor: Executor, facts: Callable[[], Facts]) -> tuple[Finding, ...]:
    """Check the subjects in parallel; return the findings in the order of the subjects."""
    work = [lambda subject=subject: list(_findings(subject, executor, facts)) for subject in subjects]
    results: list[list[Finding]] = fan_out(work, limit=MOST, on_interrupt=executor.interrupt)
    return tuple(finding for findings in results for finding in findings)


def require(context: RunContext, subjects: Sequence[Subject]) -> tuple[Finding, ...]:
    """Check the subjects, print warnings and return the findings. Raises RefusedError with every problem."""
    count = sum(len(subject.preconditions) for subject in subjects)
    context.screen.say(f"Preflight: checking {count} preconditions of {len(subjects)} subjects.")
    findings = examine(subjects, context.executor, context.facts)
    for finding in findings:
        if finding.warns:
            context.screen.warn(str(finding))
    refuse(context.plan, findings)
    context.screen.say(summed_up(findings))
    return findings


def require_again(context: RunContext) -> None:
    """Check again what must hold whenever work begins, such as the clocks. Raises RefusedError."""
    now = context.clock.now()
    last = max((event.at for event in context.journal.events), default=now)
    if last - now > CLOCKS_APART:
        raise RefusedError(
            f"The night's journal has an event of {last:%Y-%m-%d %H:%M:%S} UTC, {span(last - now)} in the future by "
            "this machine's clock, so proofs can't compare times. Nothing was done.",
            hint="Correct this machine's clock. If another was wrong when that was written, wait until then.",
        )
    require(context, all_night(context.plan.preflight))


def refuse(plan: Plan, findings: Sequence[Finding]) -> None:
    """Raise RefusedError with every problem, if there is one."""
    problems = [f"  - {finding}" for finding in findings if finding.stops]
    if problems:
        head = f"{plan.title} can't go ahead; nothing was done:"
        raise RefusedError("\n".join([head, *problems]), hint="Fix all of them, then try again.")


def summed_up(findings: Sequence[Finding]) -> str:
    """Return a sentence that says how many preconditions hold."""
    holding = sum(finding.verdict.holds for finding in findings)
    warnings = sum(finding.warns for finding in findings)
    suffix = f", {many(warnings, 'warning')}" if warnings else ""
    return f"Preflight: {holding} of {len(findings)} preconditions hold{suffix}."


def _findings(subject: Subject, executor: Executor, facts: Callable[[], Facts]) -> Iterator[Finding]:
    for number, precondition in enumerate(subject.preconditions):
        verdict = executor.look(precondition.check, facts(), expected=True)
        yield Finding(subject=subject.name, precondition=precondition, verdict=verdict)
        if number == 0 and not verdict.holds:
            return
