"""The complete procedure as a value: numbered, validated before anything starts, and with a digest."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import date as Date  # noqa: N812 - a plan has a date

from errors import Problems
from inventory.model import Deferral
from inventory.scope import Scope
from runbooks.engine.model.preconditions import Subject
from runbooks.engine.model.step import Check, Debt, HostTask, Mark, Step

NIGHT = timedelta(hours=24)  # after this a night without a window is another night


def no_window(began: datetime) -> None:
    """Return None: the night's length is not limited."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A check that is made again and again while a step lasts."""

    check: Check
    stops: bool  # the night, after the step; if not, it is only told


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The steps of one night in order, and the checks that must hold throughout."""

    title: str
    environment: str
    date: str  # YYYY-MM-DD; also the word typed at the point of no return
    checklist: str = ""  # its name, which the journal records
    resume: str  # the command that resumes it
    back_out: str = ""  # the command that abandons it and switches everything back on
    approve: str = ""  # the command by which a second person approves the point of no return; empty: no approval needed
    notes: tuple[str, ...] = ()  # particulars of this night
    scope: Scope | None = None  # what it deletes, and by what; None: the plan deletes nothing
    steps: tuple[Step, ...]
    invariants: tuple[Check, ...] = ()  # checked before and after every step and while it lasts; stop the night
    watched: tuple[Watched, ...] = ()  # checked only while a step lasts
    preflight: tuple[Subject, ...] = ()  # checked before the first step; not part of the digest
    of_a_lab: bool = False  # True: any day may stand for its date
    zone: tzinfo = UTC  # of the night's times as displayed
    window_end: Callable[[datetime], datetime | None] = no_window  # from a night's begin to the time it must end

    def step(self, key: str) -> Step:
        """Return the step with that key."""
        return next(step for step in self.steps if step.key == key)

    def before(self, step: Step) -> tuple[Step, ...]:
        """Return the steps that precede a step."""
        return self.steps[: [each.key for each in self.steps].index(step.key)]

    @property
    def last_number(self) -> int:
        """The number of the last step, which a team's own steps do not change."""
        return max((step.number for step in self.steps), default=0)

    @property
    def go_on(self) -> str:
        """The hint after a stop: the command that resumes the night."""
        return f"{self.resume} goes on from here."

    def alone(self, step: Step) -> str:
        """Return the command that does one step, whatever the journal says of it, in this night and environment."""
        return re.sub(r"\bcutover\.\S+", step.key, self.resume, count=1)

    @property
    def scope_digest(self) -> str:
        """The digest of its scope, for which a person's word holds; empty without a scope."""
        return self.scope.digest if self.scope else ""

    def word_ends(self, given: datetime) -> datetime:
        """Return when a person's word ends: with the night in which it was given."""
        return self.window_end(given) or given + NIGHT

    def due(self, deferral: Deferral, began: datetime) -> Date:
        """Return the day on which deferred work falls due; in a lab, as many days after its begin as after its date."""
        if not self.of_a_lab:
            return deferral.until
        return began.astimezone(self.zone).date() + (deferral.until - Date.fromisoformat(self.date))

    @property
    def asks(self) -> tuple[Step, ...]:
        """The steps that need a person."""
        return tuple(step for step in self.steps if not step.automatic or step.point_of_no_return)

    @property
    def lines(self) -> list[str]:
        """Everything that would be done, asked or checked, a line each."""
        steps = [line for step in self.steps for line in _described(step)]
        scope = self.scope.lines if self.scope else ()
        return [
            *scope,
            *steps,
            *(str(check) for check in self.invariants),
            *(str(each.check) for each in self.watched),
            *filter(None, [self.approve]),
        ]

    @property
    def digest(self) -> str:
        """A digest of the lines, 12 hex digits."""
        return hashlib.sha256(json.dumps(self.lines).encode()).hexdigest()[:12]

    def changed_from(self, lines: Sequence[str]) -> list[str]:
        """Return the differences from the lines of an earlier plan: `- was`, `+ is`."""
        changes = difflib.unified_diff(lines, self.lines, n=0, lineterm="")
        return [f"{line[0]} {line[1:]}" for line in changes if not line.startswith(("---", "+++", "@@"))]


def numbered(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the steps with their numbers, from 1; those between others have the number before, and a letter."""
    done: list[Step] = []
    number, letters = 0, 0
    for step in steps:
        if not step.between:
            number, letters = number + 1, 0
        elif not step.letter:
            letters += 1
        done.append(replace(step, number=number, letter=step.letter or _letter(letters)))
    return tuple(done)


def _letter(count: int) -> str:
    """Return the letter of the first, second … step: a, b, … z, za; empty for none."""
    return "z" * ((count - 1) // 26) + chr(ord("a") + (count - 1) % 26) if count else ""


def paying(steps: Iterable[Step], debts: Container[Debt]) -> Iterator[Step]:
    """Yield the steps that pay these debts, each with only the hosts on which it does."""
    for step in steps:
        tasks = tuple(task for task in step.tasks if task.pays in debts)
        if tasks:
            yield replace(step, tasks=tasks)


def validated(plan: Plan) -> Plan:
    """Return the plan if it is valid. Raises Problems with everything that is wrong with it."""
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
    """Yield each debt that no later step pays."""
    for number, step in enumerate(plan.steps, start=1):  # keys may repeat here
        paid_later = {task.pays for later in plan.steps[number:] for task in later.tasks}
        for task in step.tasks:
            if task.owes and task.owes not in paid_later:
                yield f"{step.key} on {task.host}: no later step switches {task.owes} on again"


def _described(step: Step) -> Iterator[str]:
    yield f"{step.key} {step.title}"
    yield from step.warning
    if step.deferral:
        yield f"deferred to {step.deferral.until} by {step.deferral.by}"
    for task in step.tasks:
        yield f"{task.host}: {task.action or task.instructions}"
        yield from (f"needs {check}" for check in task.needs)
        yield from (str(check) for check in task.checks)
