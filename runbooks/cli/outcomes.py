"""A run over one school or several: each is told as it ends, and what failed decides how the task ends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from typing import Protocol, TypeVar

from invoke.exceptions import Exit

from errors import CutoverError, ExitCode
from formatting import numbered
from runbooks.engine.live.console import say


class Ended(Protocol):
    """What became of one."""

    @property
    def error(self) -> CutoverError | None:
        """Why it failed; None where it did not."""


Outcome = TypeVar("Outcome", bound=Ended)


def result_printer(total: int, line: Callable[[Outcome], str], *, alone: bool) -> Callable[[Outcome], None]:
    """Tells each as it ends; the failure of one alone is the task's own."""
    numbers = count(1)

    def tell(outcome: Outcome) -> None:
        if outcome.error is None or not alone:
            say(numbered(next(numbers), total, line(outcome)))

    return tell


def settle(outcomes: Sequence[Ended], summary: str, *, alone: bool) -> None:
    """Ends the task: with the error of one alone; of several with the summary, and FAILED where one of them did."""
    failed = [outcome.error for outcome in outcomes if outcome.error]
    if failed and alone:
        raise failed[0]
    if not alone:
        say(summary)
    if failed:
        raise Exit(code=ExitCode.FAILED)
