"""The nouns of a preflight, frozen: what must hold before a night begins, and what was found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from runbooks.engine.model.step import Check, Truth, Verdict


@dataclass(frozen=True, kw_only=True)
class Precondition:
    """What must hold before a night begins."""

    check: Check
    advice: str  # what to do where it does not hold: a sentence
    stops: tuple[Truth, ...] = (Truth.FAILS, Truth.UNSEEN)  # with these no night begins; else they are a warning
    all_night: bool = False  # whether a night leaves it true, so that a resume looks at it too


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A host, database or service that must be ready."""

    name: str
    preconditions: tuple[Precondition, ...]  # where the first does not hold the rest is not looked at


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What was seen of a precondition."""

    subject: str
    precondition: Precondition
    verdict: Verdict

    @property
    def stops(self) -> bool:
        """Whether it is a problem: no night begins."""
        return self.verdict.truth in self.precondition.stops

    @property
    def warns(self) -> bool:
        """Whether it is worth a look and no more."""
        return not (self.verdict.holds or self.stops)

    def __str__(self) -> str:
        title = f"{self.precondition.check.title}: " if self.verdict.truth is Truth.UNSEEN else ""
        advice = "" if self.verdict.holds else f". {self.precondition.advice}"
        return f"{self.subject}: {title}{self.verdict.proof.rstrip('.')}{advice}"


def all_night(subjects: Iterable[Subject]) -> tuple[Subject, ...]:
    """What of them holds throughout a night; whatever is out of reach is a warning then.

    The steps find out by themselves what they can't reach, and what became of it is unknown, not refused.
    """
    lasting = (replace(subject, preconditions=tuple(_lasting(subject))) for subject in subjects)
    return tuple(subject for subject in lasting if subject.preconditions)


def _lasting(subject: Subject) -> Iterator[Precondition]:
    return (replace(each, stops=(Truth.FAILS,)) for each in subject.preconditions if each.all_night)
