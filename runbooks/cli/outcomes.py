"""Outcomes of a run over one item or several: each is printed as it ends, and a failure decides the exit code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Generic, TypeVar

from invoke.exceptions import Exit

from archiver.runs.each import Outcome
from errors import CutoverError, ExitCode
from formatting import many, numbered, size
from runbooks.engine.live.console import say

Item = TypeVar("Item")
Detail = TypeVar("Detail")


@dataclass(frozen=True, kw_only=True)
class Words(Generic[Item, Detail]):
    """The words for the outcomes of one kind of run; a kind says of its own what only it has."""

    noun: str  # of an item: school, archive, shard
    verb: str  # archived
    nothing: str = ""  # why there may be no item
    hint: str = ""  # what to do about failures

    def label(self, item: Item) -> str:
        """Return the name of an item: school 13."""
        return f"{self.noun} {item}"

    def done(self, outcome: Outcome[Item, Detail]) -> str:
        """Return what became of an item: archived, 1,234 rows, 812 kB, 1.2 s."""
        figures = f"{outcome.rows:,} rows" + (f", {size(outcome.size)}" if outcome.size else "")
        return f"{self.verb}, {figures}, {outcome.seconds:.1f} s"

    def more(self, outcome: Outcome[Item, Detail]) -> Iterator[str]:
        """Yield what else to say of an item."""
        yield from ()

    def line(self, outcome: Outcome[Item, Detail]) -> str:
        """Return an outcome in a line; a failure with its hint below."""
        if outcome.error:
            return failure(self.label(outcome.item), outcome.error)
        return f"{self.label(outcome.item)}: " + "; ".join([self.done(outcome), *self.more(outcome)])

    def sum(self, outcomes: Sequence[Outcome[Item, Detail]]) -> str:
        """Return the sum of what was done: 1,234 rows, 812 kB."""
        total = sum(outcome.size for outcome in outcomes)
        return f"{sum(outcome.rows for outcome in outcomes):,} rows" + (f", {size(total)}" if total else "")

    def conclusion(self, done: Sequence[Outcome[Item, Detail]]) -> Iterator[str]:
        """Yield what follows from a run."""
        yield from ()

    def summary(self, outcomes: Sequence[Outcome[Item, Detail]]) -> str:
        """Return the summary of a run: 35 of 36 schools archived: 1,234 rows, 812 kB; 1 FAILED."""
        if not outcomes and self.nothing:
            return f"Nothing to do: {self.nothing}."
        done = [outcome for outcome in outcomes if outcome.error is None]
        failed = len(outcomes) - len(done)
        parts = [f"{len(done)} of {many(len(outcomes), self.noun)} {self.verb}: {self.sum(done)}"]
        return "; ".join([*parts, *self.conclusion(done), *self.failed(failed)])

    def failed(self, number: int) -> Iterator[str]:
        """Yield how many items failed, if any."""
        if number:
            yield f"{number} FAILED" + (f": {self.hint}" if self.hint else "")


def failure(who: str, error: CutoverError) -> str:
    """Return a failure, with its hint below."""
    return f"{who}: FAILED. {error}" + (f"\n    hint: {error.hint}" if error.hint else "")


@dataclass(kw_only=True)
class Results(Generic[Item, Detail]):
    """The results of a run on the operator's screen: each outcome as it ends, then the summary."""

    words: Words[Item, Detail]
    total: int
    alone: bool = False  # one item was asked for: its failure is the task's
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def show(self, outcome: Outcome[Item, Detail]) -> None:
        """Print an outcome; the failure of an item that is alone is left to `settle`."""
        if outcome.error is None or not self.alone:
            say(numbered(next(self._numbers), self.total, self.words.line(outcome)))

    def settle(self, outcomes: Sequence[Outcome[Item, Detail]]) -> None:
        """End the task: raise the error of an item that is alone; else print the summary.

        Exits with FAILED if any failed.
        """
        failed = [outcome.error for outcome in outcomes if outcome.error]
        if failed and self.alone:
            raise failed[0]
        if not self.alone:
            say(self.words.summary(outcomes))
        if failed:
            raise Exit(code=ExitCode.FAILED)
