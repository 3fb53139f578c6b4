"""The nouns of a checklist, frozen: a step, its task on one host, and the checks that prove it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from enum import Enum
from typing import TYPE_CHECKING

from inventory.model import Deferral
from inventory.own_step import PREFIX
from runbooks.engine.model.actions import SOON, Action, Look, ProbeOutput

if TYPE_CHECKING:
    from runbooks.engine.model.history import Facts

PLANNED = "as planned"  # the basis of an estimate that no night has measured


class Mark(Enum):
    """A step's mark on the checklist."""

    AUTOMATE = "AUTOMATE"  # a command does it
    MANUAL = "MANUAL"  # a person does it, unless the inventory has a command for it


class Truth(Enum):
    """The result of a check."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNSEEN = "could not tell"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A judgment on a check's output, with the sentence that proves it."""

    truth: Truth
    proof: str
    figures: Mapping[str, object] = field(default_factory=dict)  # numbers and names to record

    @property
    def holds(self) -> bool:
        """True if the check holds."""
        return self.truth is Truth.HOLDS


def holds(proof: str, **figures: object) -> Verdict:
    """Return a verdict: the check holds."""
    return Verdict(truth=Truth.HOLDS, proof=proof, figures=figures)


def fails(proof: str) -> Verdict:
    """Return a verdict: the check does not hold."""
    return Verdict(truth=Truth.FAILS, proof=proof)


def unseen(proof: str) -> Verdict:
    """Return a verdict: the check could not be made."""
    return Verdict(truth=Truth.UNSEEN, proof=proof)


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """Return one verdict for several: the first that fails, else the first unseen, else all proofs joined."""
    each = list(verdicts)
    for truth in (Truth.FAILS, Truth.UNSEEN):
        for verdict in each:
            if verdict.truth is truth:
                return verdict
    figures = {key: value for verdict in each for key, value in verdict.figures.items()}
    return holds("; ".join(verdict.proof for verdict in each if verdict.proof), **figures)


Judge = Callable[[tuple[ProbeOutput, ...], "Facts"], Verdict]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A read-only check of the live system: its looks, and the judge of their output."""

    title: str  # what must hold
    looks: tuple[Look, ...]  # none: the journal alone decides
    judge: Judge  # pure

    def __str__(self) -> str:
        return f"{self.title} ({'; '.join(str(look) for look in self.looks) or 'by the journal'})"


@dataclass(frozen=True, kw_only=True)
class Debt:
    """Something switched off that must be switched on again."""

    what: str
    where: str
    due: date | None = field(default=None, compare=False)  # None: it is not deferred
    by: str = field(default="", compare=False)  # who deferred it

    def __str__(self) -> str:
        return f"{self.what} ({self.where})"


@dataclass(frozen=True, kw_only=True)
class HostTask:
    """A step's task on one host."""

    host: str
    checks: tuple[Check, ...]
    action: Action | None = None  # none: a person does it
    instructions: str = ""  # for the person
    needs: tuple[Check, ...] = ()  # must hold before each act; otherwise it fails and nothing is run
    before: Look | None = None  # read and journaled once, before the first act
    owes: Debt | None = None
    pays: Debt | None = None
    at_least_once: bool = (
        False  # True: its proof may hold by accident before anything was done, and proves nothing then
    )

    @property
    def looks_first(self) -> bool:
        """True if something must be checked or read before its first act."""
        return bool(self.needs or self.before)

    @property
    def by_hand(self) -> tuple[str, ...]:
        """The instructions to a person; a line that begins with `$ ` is typed on the host."""
        if self.instructions or self.action is None:
            return tuple(self.instructions.strip().splitlines())
        return (self.action.instruction,)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of the checklist."""

    key: str  # stable: identifies the step in journals
    title: str
    mark: Mark
    tasks: tuple[HostTask, ...]
    number: int = 0  # given by the plan
    between: bool = False  # True: it leaves the numbers of the others as they are
    letter: str = ""  # of a step between others: .4, as the checklist has it; else given by the plan
    required: bool = False  # never skipped
    point_of_no_return: bool = False
    gate: str = ""  # the name of its proofs at the point of no return, where they are checked again
    warning: tuple[str, ...] = ()  # lines that its prompt must show first
    limit: int = 5  # hosts at a time, at most
    settle: timedelta = SOON  # the time that the proof may take to appear
    deferral: Deferral | None = None  # None: it is done in the night
    estimate: timedelta | None = None
    basis: str = PLANNED  # source of the estimate

    @property
    def label(self) -> str:
        """Its number on the checklist: 8; 8a for the first own step that follows it."""
        return f"{self.number}{self.letter}"

    @property
    def time_tonight(self) -> timedelta:
        """The estimate of its time in the night; none if it is deferred or unknown."""
        return timedelta() if self.deferral else self.estimate or timedelta()

    @property
    def own(self) -> bool:
        """True if a team's inventory added it."""
        return self.key.startswith(PREFIX)

    @property
    def automatic(self) -> bool:
        """True if commands do it in this environment."""
        return all(task.action for task in self.tasks)

    @property
    def shown_mark(self) -> Mark:
        """The mark of the step in this environment."""
        return Mark.AUTOMATE if self.automatic else Mark.MANUAL
