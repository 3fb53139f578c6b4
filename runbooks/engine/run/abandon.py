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
from runbooks.engine.run.context import Stage
from runbooks.engine.run.runner import Runner

Payments = Callable[[Stage], Plan]  # what switches on everything that is owed, in an order that is safe


def give_up(stage: Stage, payments: Payments) -> None:
    """Switches on what is owed, and abandons the night; where nothing but payments was left of it, it ends as done.

    Raises RefusedError while a job of it still runs, UnknownError where something can't be seen, AbortedError where
    the operator does not agree, DebtLeft where something is owed still.
    """
    runner = Runner(replace(stage, plan=replace(stage.plan, resume=stage.plan.pay)))
    with runner.told():
        orphaned_jobs.refuse_at_work(stage, hint="inv cutover.abort --stop ends it.")
        runner.settle()
        abandoned = _abandoned(stage)
        _pay(Runner(replace(stage, plan=payments(runner.stage))))
        if abandoned:
            stage.journal.append(Kind.ENDED)
    if not abandoned:
        runner.run()


def _pay(payer: Runner) -> None:
    for step in payer.stage.plan.steps:
        payer.perform(step, step.tasks)
    payer.refuse_debts()


def _abandoned(stage: Stage) -> bool:
    """Whether paying gives the night up; written before anything is switched on, because its proofs end there."""
    left = _left(stage)
    if left and not stage.history().abandoned:
        statements = (
            *(f"to be switched on: {line}" for line in detailed(stage.debts())),
            f"not done: {', '.join(left)}",
            "The night is over then: inv cutover.run begins it anew, from its first step.",
        )
        if not stage.person.agree(statements, "Give the night up?"):
            raise AbortedError("Aborted by the operator: nothing was switched on.", hint=stage.plan.go_on)
        stage.journal.append(Kind.ABANDONED)
    return bool(left)


def _left(stage: Stage) -> list[str]:
    """What is neither done nor a payment."""
    return [
        step.title
        for step in stage.plan.steps
        if any(not task.pays and stage.past(step, task).outcome not in SETTLED for task in step.tasks)
    ]
