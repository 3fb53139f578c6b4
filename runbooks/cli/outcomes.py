"""Outcomes of a run over one item or several: each is printed as it ends, and a failure decides the exit code."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

from invoke.exceptions import Exit

from archiver.runs.each import Outcome
from archiver.runs.progress import EVERY, Progress, Tally
from errors import CutoverError, ExitCode
from formatting import clock_span, many, numbered, plural, size
from runbooks.engine.live.console import say_wrapped

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

    def weight(self, item: Item) -> int:
        """Return how much work an item is, compared with the others."""
        return 1

    def done(self, outcome: Outcome[Item, Detail]) -> str:
        """Return what became of an item: archived, 1,234 rows, 812 kB, 1.2 s."""
        figures = many(outcome.rows, "row") + (f", {size(outcome.size)}" if outcome.size else "")
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
        return many(sum(outcome.rows for outcome in outcomes), "row") + (f", {size(total)}" if total else "")

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


def progress_line(progress: Progress) -> str:
    """Return a run's progress: 12 of 36 schools: 1,234 rows, 3.2 MB, 512 rows/s, 1:23 left."""
    parts = [many(progress.rows, "row")] if progress.rows else []
    parts += [size(progress.size)] if progress.size else []
    if progress.rows:
        parts.append(f"{progress.rows / progress.seconds:,.0f} rows/s")
    elif progress.size:
        parts.append(f"{size(round(progress.size / progress.seconds))}/s")
    parts += [f"{clock_span(progress.left)} left"] if progress.left is not None else []
    return f"{progress.done:,} of {progress.total:,} {progress.what}: {', '.join(parts) or 'just begun'}"


class Results(Generic[Item, Detail]):
    """The results of a run on the operator's screen: outcomes as they end, progress in between, then the summary."""

    def __init__(
        self,
        words: Words[Item, Detail],
        total: int,
        *,
        items: Sequence[Item] = (),  # which weigh differently
        alone: bool = False,  # one item was asked for: its failure is the task's
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        weight = sum(map(words.weight, items))
        self._words, self._alone, self._clock = words, alone, clock
        self._tally = Tally(what=plural(words.noun), total=total, weight=weight)
        self._began = self._reported = clock()
        self._told = False  # the run tells its progress: its outcomes come together, at the end

    def show(self, outcome: Outcome[Item, Detail]) -> None:
        """Print an outcome; the failure of an item that is alone is left to `settle`."""
        self._tally.count(rows=outcome.rows, size=outcome.size, weight=self._words.weight(outcome.item))
        if outcome.error is None or not self._alone:
            say_wrapped(numbered(self._tally.done, self._tally.total, self._words.line(outcome)))
        if not self._told and self._tally.done < self._tally.total:
            self._report(self._tally.progress(timedelta(seconds=self._clock() - self._began)))

    def show_progress(self, progress: Progress) -> None:
        """Print the progress that a run tells."""
        self._told = True
        self._report(progress)

    def _report(self, progress: Progress) -> None:
        """Print the progress, unless the last line is younger than EVERY seconds."""
        if self._clock() - self._reported >= EVERY:
            say_wrapped(progress_line(progress))
            self._reported = self._clock()

    def settle(self, outcomes: Sequence[Outcome[Item, Detail]]) -> None:
        """End the task: raise the error of an item that is alone; else print the summary.

        Exits with FAILED if any failed.
        """
        failed = [outcome.error for outcome in outcomes if outcome.error]
        if failed and self._alone:
            raise failed[0]
        if not self._alone:
            say_wrapped(self._words.summary(outcomes))
        if failed:
            raise Exit(code=ExitCode.FAILED)
