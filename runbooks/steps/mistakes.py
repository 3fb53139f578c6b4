"""All mistakes of an inventory that only a plan shows: in commands, instructions, own steps and deferrals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from runbooks.engine.model.step import Step
from runbooks.steps import warehouse
from runbooks.steps.context import Build, NightContext, inventory_mistakes
from runbooks.steps.deferrals import deferral_mistakes
from runbooks.steps.own_step_mistakes import own_step_mistakes


def all_mistakes(night: NightContext, built: Sequence[Step], checklists: Mapping[str, Sequence[Build]]) -> list[str]:
    """Return every mistake, each with its path; `built` are the steps of the night's checklist."""
    steps = (*built, warehouse.start_etl(night.old_warehouse)(night))
    debts = {task.owes.what for step in built for task in step.tasks if task.owes}
    keys_by_checklist = {checklist: [build.key for build in builds] for checklist, builds in checklists.items()}
    keys = {key for some in keys_by_checklist.values() for key in some}
    own_keys = {own.key for own in night.environment.own_steps.values()}
    return [
        *inventory_mistakes(night, steps, keys),
        *own_step_mistakes(night, keys_by_checklist, debts),
        *deferral_mistakes(night, built, keys | own_keys),
    ]
