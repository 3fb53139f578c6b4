"""A night given up: whatever it owes is switched on again, and it is over."""

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

BackOutSteps = Callable[[RunContext], Plan]  # what switches on everything that is owed, in an order that is safe


def abandon_night(context: RunContext, payments: BackOutSteps) -> None:
    """Switches on what is owed, and abandons the night; where nothing but payments was left of it, it ends as done.

    Raises RefusedError while a job of it still runs, UnknownError where something can't be seen, AbortedError where
    the operator does not agree, DebtLeft where something is owed still.
    """
    runner = Runner(replace(context, plan=replace(context.plan, resume=context.plan.back_out)))
    with runner.stop_journaled():
        orphaned_jobs.refuse_at_work(context, hint="inv cutover.abort --stop ends it.")
        runner.settle()
        abandoned = _abandoned(context)
        _pay(Runner(replace(context, plan=payments(runner.context))))
        if abandoned:
            context.journal.append(Kind.ENDED)
    if not abandoned:
        runner.run()


def _pay(payer: Runner) -> None:
    for step in payer.context.plan.steps:
        payer.perform(step, step.tasks)
    payer.refuse_debts()


def _abandoned(context: RunContext) -> bool:
    """Whether paying gives the night up; written before anything is switched on, because its proofs end there."""
    left = _left(context)
    if left and not context.history().abandoned:
        statements = (
            *(f"to be switched on: {line}" for line in detailed(context.debts())),
            f"not done: {', '.join(left)}",
            "The night is over then: inv cutover.run begins it anew, from its first step.",
        )
        if not context.person.agree(statements, "Give the night up?"):
            raise AbortedError("Aborted by the operator: nothing was switched on.", hint=context.plan.go_on)
        context.journal.append(Kind.ABANDONED)
    return bool(left)


def _left(context: RunContext) -> list[str]:
    """What is neither done nor a payment."""
    return [
        step.title
        for step in context.plan.steps
        if any(not task.pays and context.task_state(step, task).outcome not in SETTLED for task in step.tasks)
    ]
