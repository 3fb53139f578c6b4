"""Refuse to leave work to a day that has passed already."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from errors import Problems
from inventory.load import with_lines
from inventory.model import Environment
from runbooks.engine.model.history import History
from runbooks.engine.model.outcome import SETTLED
from runbooks.engine.model.plan import Plan


def refuse_past_deferrals(environment: Environment, plan: Plan, history: History, now: datetime) -> None:
    """Raise Problems, with path and line, for each step that is still to be deferred to a day before this one."""
    if mistakes := list(_past(plan, history, now)):
        hint = "Say a later day, or take it out: then the night does the step."
        head = f"{plan.title} would defer steps into the past; nothing was done:"
        raise Problems(head, with_lines(environment, mistakes), hint=hint)


def _past(plan: Plan, history: History, now: datetime) -> Iterator[str]:
    today = now.astimezone(plan.zone).date()
    for step in plan.steps:
        settled = all(history.task_state(step.key, task.host).outcome in SETTLED for task in step.tasks)
        if step.deferral and not settled and plan.due(step.deferral, history.began or now) < today:
            path = f"nights/{plan.date}/defer/{step.key}/until"
            yield f"{path}: expected {today} or a later day, got {step.deferral.until}"
