"""The nouns of a preflight, frozen: preconditions of a night, their subjects, and the findings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from runbooks.engine.model.step import Check, Truth, Verdict

CLOCKS_APART = timedelta(seconds=30)  # how far clocks may differ: proofs compare a host's times with ours


@dataclass(frozen=True, kw_only=True)
class Precondition:
    """A check that must hold before a night begins."""

    check: Check
    advice: str  # a sentence: what to do if it does not hold
    stops: tuple[Truth, ...] = (Truth.FAILS, Truth.UNSEEN)  # verdicts that stop the night; others only warn
    all_night: bool = False  # True if it holds throughout a night, so that a resume checks it too


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A host, database or service that must be ready."""

    name: str
    preconditions: tuple[Precondition, ...]  # if the first does not hold, the rest are not checked


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The verdict on a precondition."""

    subject: str
    precondition: Precondition
    verdict: Verdict

    @property
    def stops(self) -> bool:
        """True if it is a problem that stops the night."""
        return self.verdict.truth in self.precondition.stops

    @property
    def warns(self) -> bool:
        """True if it is only a warning."""
        return not (self.verdict.holds or self.stops)

    @property
    def says(self) -> str:
        """The proof; before one that could not be seen, what should hold."""
        title = f"{self.precondition.check.title}: " if self.verdict.truth is Truth.UNSEEN else ""
        return f"{title}{self.verdict.proof.rstrip('.')}"

    def __str__(self) -> str:
        advice = "" if self.verdict.holds else f". {self.precondition.advice}"
        return f"{self.subject}: {self.says}{advice}"


def all_night(subjects: Iterable[Subject]) -> tuple[Subject, ...]:
    """Return the preconditions that hold throughout a night; an unreachable subject is only a warning.

    A step that can't reach its host finds that out itself: its outcome is then unknown, not refused.
    """
    lasting = (replace(subject, preconditions=tuple(_lasting(subject))) for subject in subjects)
    return tuple(subject for subject in lasting if subject.preconditions)


def _lasting(subject: Subject) -> Iterator[Precondition]:
    return (replace(condition, stops=(Truth.FAILS,)) for condition in subject.preconditions if condition.all_night)
