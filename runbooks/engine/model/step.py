"""The nouns of a checklist, frozen: a step, what it does on one host, and what proves it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import TYPE_CHECKING

from runbooks.engine.model.actions import SOON, Action, Look, ProbeOutput

if TYPE_CHECKING:
    from runbooks.engine.model.history import Facts


class Mark(Enum):
    """Where a step starts on the checklist."""

    AUTOMATE = "AUTOMATE"  # a command does it
    MANUAL = "MANUAL"  # a person does it; with a command in the inventory it is automatic there


class Truth(Enum):
    """What a look at the world tells."""

    HOLDS = "holds"
    FAILS = "does not hold"
    UNSEEN = "could not tell"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """A judgement on what was seen, with the sentence that is its proof."""

    truth: Truth
    proof: str
    figures: Mapping[str, object] = field(default_factory=dict)  # numbers and names worth keeping

    @property
    def holds(self) -> bool:
        """Whether it is proven."""
        return self.truth is Truth.HOLDS


def holds(proof: str, **figures: object) -> Verdict:
    """It is as wanted."""
    return Verdict(truth=Truth.HOLDS, proof=proof, figures=figures)


def fails(proof: str) -> Verdict:
    """It is not as wanted."""
    return Verdict(truth=Truth.FAILS, proof=proof)


def unseen(proof: str) -> Verdict:
    """Nobody could tell."""
    return Verdict(truth=Truth.UNSEEN, proof=proof)


def together(verdicts: Iterable[Verdict]) -> Verdict:
    """One verdict of several: what is wrong outweighs what could not be seen, which outweighs what holds."""
    every = list(verdicts)
    for truth in (Truth.FAILS, Truth.UNSEEN):
        for verdict in every:
            if verdict.truth is truth:
                return verdict
    figures = {key: value for verdict in every for key, value in verdict.figures.items()}
    return holds("; ".join(verdict.proof for verdict in every), **figures)


Judge = Callable[[tuple[ProbeOutput, ...], "Facts"], Verdict]


@dataclass(frozen=True, kw_only=True)
class Check:
    """A read-only look at the world, and the judge of what it sees."""

    title: str  # what must hold
    looks: tuple[Look, ...]
    judge: Judge  # pure

    def __str__(self) -> str:
        return f"{self.title} ({'; '.join(str(look) for look in self.looks)})"


@dataclass(frozen=True, kw_only=True)
class Debt:
    """Something switched off that must be switched on again."""

    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.what} ({self.where})"


@dataclass(frozen=True, kw_only=True)
class HostTask:
    """What a step is on one host."""

    host: str
    checks: tuple[Check, ...]
    action: Action | None = None  # none: a person does it
    instructions: str = ""  # for the person
    needs: tuple[Check, ...] = ()  # must hold before each act; else it fails, and nothing is run
    before: Look | None = None  # read and journalled once, before the first act
    owes: Debt | None = None
    pays: Debt | None = None

    @property
    def looks_first(self) -> bool:
        """Whether there is anything to look at before its first act."""
        return bool(self.needs or self.before)

    @property
    def by_hand(self) -> tuple[str, ...]:
        """The lines that tell a person what to do; one that begins with `$ ` is typed on the host."""
        if self.instructions or self.action is None:
            return tuple(self.instructions.strip().splitlines())
        return (self.action.shown,)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One line of the checklist."""

    key: str  # stable; journal and resume know steps by it
    title: str
    mark: Mark
    tasks: tuple[HostTask, ...]
    number: int = 0  # given by the plan
    required: bool = False  # never skipped
    point_of_no_return: bool = False
    gate: str = ""  # what its proofs are called at the point of no return, where they are looked at once more
    warning: tuple[str, ...] = ()  # what its prompt must say first
    limit: int = 5  # hosts at a time
    settle: timedelta = SOON  # how long the world may take to show the proof
    estimate: timedelta | None = None
    basis: str = "as planned"  # where the estimate comes from

    @property
    def automatic(self) -> bool:
        """Whether commands do it here."""
        return all(task.action for task in self.tasks)

    @property
    def shown_mark(self) -> Mark:
        """The mark the step has here."""
        return Mark.AUTOMATE if self.automatic else Mark.MANUAL
