"""Abandon a night: switch everything it owes back on, and end it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from errors import AbortedError
from runbooks.engine.model.debts import detailed
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import SETTLED
from runbooks.engine.model.plan import Plan
from runbooks.engine.run import orphaned_jobs
from runbooks.engine.run.context import RunContext
from runbooks.engine.run.runner import Runner

BackOutSteps = Callable[[RunContext], Plan]  # the steps that pay all debts, in a safe order


def abandon_night(context: RunContext, back_out_steps: BackOutSteps) -> None:
    """Switch everything back on, and abandon the night; if only paying steps were left, it ends as done.

    Raises RefusedError while one of its jobs still runs, UnknownError if an outcome can't be determined, AbortedError
    if the operator does not agree, DebtLeft if something is still owed.
    """
    runner = Runner(replace(context, plan=replace(context.plan, resume=context.plan.back_out)))
    with runner.stop_journaled():
        orphaned_jobs.refuse_at_work(context, hint="inv cutover.abort --stop ends it.")
        runner.settle()
        abandoned = _abandoned(context)
        _pay(Runner(replace(context, plan=back_out_steps(runner.context))))
        if abandoned:
            context.journal.append(Kind.ENDED)
    if not abandoned:
        runner.run()


def _pay(payer: Runner) -> None:
    for step in payer.context.plan.steps:
        payer.perform(step, step.tasks)
    payer.refuse_debts()


def _abandoned(context: RunContext) -> bool:
    """True if paying abandons the night, as agreed by the operator.

    That is journaled before anything is switched on, because from there on earlier proofs no longer hold.
    """
    left = _left(context)
    if left and not context.history().abandoned:
        statements = (
            *(f"to be switched back on: {line}" for line in detailed(context.debts())),
            f"not done: {', '.join(left)}",
            "This ends the night; inv cutover.run then starts it again from its first step.",
        )
        if not context.person.agree(statements, "Abandon the night?"):
            raise AbortedError("Aborted by the operator: nothing was switched back on.", hint=context.plan.go_on)
        context.journal.append(Kind.ABANDONED)
    return bool(left)


def _left(context: RunContext) -> list[str]:
    """Return the titles of the steps that are not settled and pay no debt."""
    return [
        step.title
        for step in context.plan.steps
        if any(not task.pays and context.task_state(step, task).outcome not in SETTLED for task in step.tasks)
    ]
