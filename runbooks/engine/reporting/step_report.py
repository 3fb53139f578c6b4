"""The state of a night's steps, as rows of the closing summary and the status. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from runbooks.engine.model.history import History, TaskState
from runbooks.engine.model.outcome import SETTLED, Outcome
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.step import Step

# The worst outcome of a step's hosts stands for the step.
_WORST_FIRST = (
    Outcome.FAILED,
    Outcome.UNKNOWN,
    Outcome.RUNNING,
    Outcome.PENDING,
    Outcome.DEFERRED,
    Outcome.SKIPPED,
    Outcome.DONE,
)


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """The state of one step of a night."""

    step: Step
    outcome: Outcome
    spent: timedelta | None  # from its first begin to its last end
    proofs: tuple[str, ...]  # `host: proof`, or one for all hosts if they agree


def reported(plan: Plan, history: History, *, at_work: bool = False) -> list[StepReport]:
    """Return a report on every step; an intent without a result is unknown unless a run is at work."""
    return [
        _step(step, [history.task_state(step.key, task.host) for task in step.tasks], at_work=at_work)
        for step in plan.steps
    ]


def standing(task_state: TaskState, *, at_work: bool) -> Outcome:
    """Return the outcome of a step on a host; an intent without a result is unknown unless a run is at work."""
    left_open = task_state.outcome is Outcome.RUNNING and not at_work
    return Outcome.UNKNOWN if left_open else task_state.outcome


def done_so_far(reports: Sequence[StepReport]) -> int:
    """Return the number of settled steps."""
    return sum(1 for report in reports if report.outcome in SETTLED)


def _step(step: Step, task_states: Sequence[TaskState], *, at_work: bool) -> StepReport:
    outcomes = {standing(task_state, at_work=at_work) for task_state in task_states}
    worst = next(outcome for outcome in _WORST_FIRST if outcome in outcomes)
    hosts = [task.host for task in step.tasks]
    proofs = _proofs(
        [(host, task_state.proof) for host, task_state in zip(hosts, task_states, strict=True) if task_state.proof]
    )
    return StepReport(step=step, outcome=worst, spent=_spent(task_states), proofs=proofs)


def _proofs(by_host: Sequence[tuple[str, str]]) -> tuple[str, ...]:
    proofs = {proof for _, proof in by_host}
    if len(by_host) > 1 and len(proofs) == 1:
        return (f"{len(by_host)} hosts: {by_host[0][1]}",)
    return tuple(f"{host}: {proof}" if len(by_host) > 1 else proof for host, proof in by_host)


def _spent(task_states: Sequence[TaskState]) -> timedelta | None:
    began = [task_state.began for task_state in task_states if task_state.began]
    ended = [task_state.ended for task_state in task_states if task_state.ended]
    return max(ended) - min(began) if began and ended else None
