"""Results of a run over one school or several: each is printed as it ends, and a failure decides the exit code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Protocol, TypeVar

from invoke.exceptions import Exit

from errors import CutoverError, ExitCode
from formatting import numbered
from runbooks.engine.live.console import say


class Ended(Protocol):
    """The result for one school, archive or shard."""

    @property
    def error(self) -> CutoverError | None:
        """The reason of a failure; None for success."""


Outcome = TypeVar("Outcome", bound=Ended)


def result_printer(total: int, line: Callable[[Outcome], str], *, alone: bool) -> Callable[[Outcome], None]:
    """Return a function that prints each result; the failure of a single one is left to `settle`."""
    numbers = count(1)

    def print_result(outcome: Outcome) -> None:
        if outcome.error is None or not alone:
            say(numbered(next(numbers), total, line(outcome)))

    return print_result


def settle(outcomes: Sequence[Ended], summary: str, *, alone: bool) -> None:
    """End the task: raise the error of a single one; else print the summary, and exit with FAILED if any failed."""
    failed = [outcome.error for outcome in outcomes if outcome.error]
    if failed and alone:
        raise failed[0]
    if not alone:
        say(summary)
    if failed:
        raise Exit(code=ExitCode.FAILED)
