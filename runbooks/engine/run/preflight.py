"""Looks at everything that must hold before a night begins, and refuses with every problem at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from errors import RefusedError
from runbooks.engine.model.history import Facts
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Executor
from runbooks.engine.model.preconditions import Finding, Subject
from runbooks.engine.run.context import RunContext
from runbooks.engine.run.fanout import fan_out

MOST = 32  # subjects at a time: one that hangs does not hold up the others


def examine(subjects: Sequence[Subject], executor: Executor, facts: Callable[[], Facts]) -> tuple[Finding, ...]:
    """What is found, in the order of the subjects, which are looked at side by side."""
    work = [lambda subject=subject: list(_found(subject, executor, facts)) for subject in subjects]
    findings: list[list[Finding]] = fan_out(work, limit=MOST, on_interrupt=executor.interrupt)
    return tuple(finding for found in findings for finding in found)


def require(context: RunContext, subjects: Sequence[Subject]) -> None:
    """Says what is worth a look; RefusedError with every problem where there is one."""
    count = sum(len(subject.preconditions) for subject in subjects)
    context.screen.say(f"Preflight: looking at {count} preconditions of {len(subjects)} subjects.")
    findings = examine(subjects, context.executor, context.facts)
    for finding in findings:
        if finding.warns:
            context.screen.warn(str(finding))
    refuse(context.plan, findings)
    context.screen.say(summed_up(findings))


def refuse(plan: Plan, findings: Sequence[Finding]) -> None:
    """RefusedError with every problem, if there is one."""
    problems = [f"  - {finding}" for finding in findings if finding.stops]
    if problems:
        head = f"{plan.title} can't go ahead; nothing was done:"
        raise RefusedError("\n".join([head, *problems]), hint="Put every one of them right, then try again.")


def summed_up(findings: Sequence[Finding]) -> str:
    """How many preconditions hold, in a sentence."""
    held = sum(finding.verdict.holds for finding in findings)
    warnings = sum(finding.warns for finding in findings)
    told = f", {warnings} to be looked at" if warnings else ""
    return f"Preflight: {held} of {len(findings)} preconditions hold{told}."


def _found(subject: Subject, executor: Executor, facts: Callable[[], Facts]) -> Iterator[Finding]:
    for number, precondition in enumerate(subject.preconditions):
        verdict = executor.look(precondition.check, facts(), expected=True)
        yield Finding(subject=subject.name, precondition=precondition, verdict=verdict)
        if number == 0 and not verdict.holds:
            return
