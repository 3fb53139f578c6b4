"""The plan as a Markdown checklist for reviewers and auditors: the same list that runs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from formatting import in_minutes, plural, size
from inventory.figures import Figures
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.step import HostTask, Mark, Step
from runbooks.engine.reporting.figures_text import figure_lines


def rendered(plan: Plan, figures: Figures | None = None) -> str:
    """Return the complete plan as Markdown, with the night's figures if they were counted."""
    counted = _figures(plan, figures) if figures else ()
    steps = (line for step in plan.steps for line in _step(step))
    return "\n".join([*_head(plan), *counted, *_preflight(plan), *steps])


def _head(plan: Plan) -> Iterator[str]:
    yield f"# {plan.title}"
    yield ""
    yield from (f"- {note}" for note in plan.notes)
    yield from (f"- Checked before and after every step, and every 30 s of it: {check}" for check in plan.invariants)
    yield from (f"- Watched every 30 s: {each.check}" for each in plan.watched)
    total = sum((step.time_tonight for step in plan.steps), timedelta())
    yield f"- {len(plan.steps)} steps, about {in_minutes(total)} as planned; plan {plan.digest}"
    yield ""


def _figures(plan: Plan, figures: Figures) -> Iterator[str]:
    yield "## Figures"
    yield ""
    yield from (f"- {line}" for line in figure_lines(figures, plan.zone))
    yield ""
    if figures.customers:
        yield f"| customer | {plural(figures.noun)} | rows | live |"
        yield "|---|--:|--:|--:|"
        yield from (
            f"| {_cell(each.name)} | {each.tenants:,} | {each.rows:,} | {size(each.bytes)} |"
            for each in figures.customers
        )
        yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _preflight(plan: Plan) -> Iterator[str]:
    yield "## Before the first step"
    yield ""
    for subject in plan.preflight:
        yield f"- {subject.name}"
        yield from (f"  - {precondition.check}" for precondition in subject.preconditions)
    yield ""


def _step(step: Step) -> Iterator[str]:
    yield f"## {step.label}. {step.title} · {_mark(step)}"
    yield ""
    yield from (f"- **{remark}**" for remark in _remarks(step))
    for task in step.tasks:
        yield from _task(task)
    yield ""


def _mark(step: Step) -> str:
    promoted = step.automatic and step.mark is Mark.MANUAL
    return f"{step.shown_mark.value} (a command of this environment does it)" if promoted else step.shown_mark.value


def _remarks(step: Step) -> Iterator[str]:
    if step.own:
        yield f"A team's own step, {step.key}"
    if step.deferral:
        yield f"Not in the night: deferred to {step.deferral.until} by {step.deferral.by}"
    if step.point_of_no_return:
        yield "Point of no return: the date is typed before it begins"
    yield from step.warning
    if step.gate:
        yield f"Checked again before the point of no return: {step.gate}"
    if step.required:
        yield "Required: it can't be skipped"


def _task(task: HostTask) -> Iterator[str]:
    yield f"- [ ] {task.host}" + (f": `{task.action.instruction.removeprefix('$ ')}`" if task.action else "")
    if not task.action:
        yield from (f"  - {_instruction(line)}" for line in task.by_hand)
    yield from (f"  - before it begins: {check}" for check in task.needs)
    yield from (f"  - proof: {check}" for check in task.checks)
    if task.owes:
        yield f"  - still off from here on: {task.owes}"
    if task.pays:
        yield f"  - switches back on: {task.pays}"


def _instruction(line: str) -> str:
    return f"`{line}`" if line.startswith("$ ") else line
