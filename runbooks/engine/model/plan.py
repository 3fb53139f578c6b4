"""The whole procedure as a value: numbered, checked before anything starts, and with a digest."""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo

from errors import Problems
from runbooks.engine.model.preconditions import Subject
from runbooks.engine.model.step import Check, Debt, HostTask, Mark, Step


def no_window(began: datetime) -> None:
    """The window of a night that may last as long as it will."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps of one night in their order, and what must hold all the time."""

    title: str
    environment: str
    date: str  # YYYY-MM-DD; also the word typed at the point of no return
    checklist: str = ""  # the name of the one it goes by, which the journal keeps
    resume: str  # the command that goes on with it
    back_out: str = ""  # the command that gives it up and switches on what is owed
    approve: str = ""  # the command of the second person who must approve the point of no return; empty: nobody must
    notes: tuple[str, ...] = ()  # what is particular to this night
    steps: tuple[Step, ...]
    invariants: tuple[Check, ...] = ()  # looked at before and after every step
    preflight: tuple[Subject, ...] = ()  # looked at before the first step; no part of the digest
    zone: tzinfo = UTC  # in which the night's times are told
    window_end: Callable[[datetime], datetime | None] = no_window  # when a night must end that began at a moment

    def step(self, key: str) -> Step:
        """The step of that key."""
        return next(step for step in self.steps if step.key == key)

    def before(self, step: Step) -> tuple[Step, ...]:
        """The steps that come before one."""
        return self.steps[: step.number - 1]

    @property
    def go_on(self) -> str:
        """What to do after a stop, in a sentence."""
        return f"{self.resume} goes on from here."

    @property
    def asks(self) -> tuple[Step, ...]:
        """The steps that can't go on without a person."""
        return tuple(step for step in self.steps if not step.automatic or step.point_of_no_return)

    @property
    def lines(self) -> list[str]:
        """Everything that would be done, asked or looked at, a line each."""
        steps = [line for step in self.steps for line in _described(step)]
        return [*steps, *(str(check) for check in self.invariants), *filter(None, [self.approve])]

    @property
    def digest(self) -> str:
        """Twelve characters that change when one of the lines does."""
        return hashlib.sha256(json.dumps(self.lines).encode()).hexdigest()[:12]

    def changed_from(self, lines: Sequence[str]) -> list[str]:
        """What is otherwise than in the lines of an earlier plan: `- was`, `+ is`."""
        changes = difflib.unified_diff(lines, self.lines, n=0, lineterm="")
        return [f"{line[0]} {line[1:]}" for line in changes if not line.startswith(("---", "+++", "@@"))]


def numbered(steps: Iterable[Step]) -> tuple[Step, ...]:
    """The steps with their numbers, from 1."""
    return tuple(replace(step, number=number) for number, step in enumerate(steps, start=1))


def paying(steps: Iterable[Step], debts: Container[Debt]) -> Iterator[Step]:
    """The steps that pay these debts, each on the hosts where it does."""
    for step in steps:
        tasks = tuple(task for task in step.tasks if task.pays in debts)
        if tasks:
            yield replace(step, tasks=tasks)


def validated(plan: Plan) -> Plan:
    """The plan, if nothing is wrong with it; else Problems with everything that is."""
    problems = [problem for step in plan.steps for problem in _step_problems(step)]
    problems += [*_repeated(plan), *_debt_problems(plan)]
    if problems:
        raise Problems(f"The plan {plan.title} can't be carried out:", problems)
    return plan


def _step_problems(step: Step) -> Iterator[str]:
    if not step.title.strip():
        yield f"{step.key}: it has no title"
    if not step.tasks:
        yield f"{step.key}: there is no host to do it on"
    hosts = [task.host for task in step.tasks]
    for host in sorted({host for host in hosts if hosts.count(host) > 1}):
        yield f"{step.key}: the host {host} stands in it twice"
    for task in step.tasks:
        yield from _task_problems(step, task)


def _task_problems(step: Step, task: HostTask) -> Iterator[str]:
    where = f"{step.key} on {task.host}"
    if not task.checks:
        yield f"{where}: nothing proves it"
    if task.action is None and step.mark is Mark.AUTOMATE:
        yield f"{where}: it is marked AUTOMATE and there is no command for it"
    elif task.action is None and not task.instructions.strip():
        yield f"{where}: a person does it, and there are no instructions"


def _repeated(plan: Plan) -> Iterator[str]:
    keys = [step.key for step in plan.steps]
    for key in sorted({key for key in keys if keys.count(key) > 1}):
        yield f"{key}: two steps have this key"


def _debt_problems(plan: Plan) -> Iterator[str]:
    """Whatever a step switches off, a later one must switch on."""
    for step in plan.steps:
        paid_later = {task.pays for later in plan.steps[step.number :] for task in later.tasks}
        for task in step.tasks:
            if task.owes and task.owes not in paid_later:
                yield f"{step.key} on {task.host}: no later step switches {task.owes} on again"


def _described(step: Step) -> Iterator[str]:
    yield f"{step.key} {step.title}"
    for task in step.tasks:
        yield f"{task.host}: {task.action or task.instructions}"
        yield from (f"needs {check}" for check in task.needs)
        yield from (str(check) for check in task.checks)
