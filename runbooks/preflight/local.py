"""A check of something on the machine at hand, which no host and no server is asked for."""

from __future__ import annotations

from collections.abc import Callable

from errors import CutoverError, Problems
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import Precondition
from runbooks.engine.model.step import Check, Verdict, fails, holds


def local(title: str, look: Callable[[], str], advice: str) -> Precondition:
    """Return the check of something on this machine: `look` returns what holds, or raises CutoverError."""

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        try:
            return holds(look())
        except Problems as mistakes:
            return fails("; ".join(mistakes.problems))
        except CutoverError as error:
            return fails(str(error))

    return Precondition(check=Check(title=title, looks=(), judge=judge), advice=advice)
