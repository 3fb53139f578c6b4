"""What goes wrong, said so that a tired operator can act on it: operation, object, cause, then a hint."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import partial


class ExitCode(IntEnum):
    """The exit codes this tool promises; README lists them."""

    DONE = 0
    USAGE = 2  # the words or the inventory are wrong; nothing was touched
    FAILED = 10  # a step, a school or a table failed
    ABORTED = 11  # the operator stopped
    UNKNOWN = 12  # an outcome nobody knows is left
    DEBT = 13  # something is still switched off, and nothing else applies
    LOCKED = 14  # somebody else has it
    INTERRUPTED = 130  # Ctrl-C


class CutoverError(Exception):
    """Something failed; `str()` is one sentence, `hint` is what to do next."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(CutoverError):
    """The operator's words or files are wrong, and nothing was touched."""

    exit_code = ExitCode.USAGE


class Problems(UsageError):
    """Several mistakes found before anything started, all told at once."""

    def __init__(self, summary: str, problems: Sequence[str], *, hint: str = "") -> None:
        super().__init__("\n".join([summary, *(f"  - {problem}" for problem in problems)]), hint=hint)
        self.problems = tuple(problems)
        self._summary = summary

    def __reduce__(self) -> tuple[object, ...]:
        """So that a worker process can hand it on."""
        return partial(Problems, hint=self.hint), (self._summary, self.problems)


class RefusedError(CutoverError):
    """A safety rule forbids the act; what it would have touched is as it was."""


class DamagedError(RefusedError):
    """What was handed in is not what it should be; nothing was touched."""

    exit_code = ExitCode.USAGE


class UnknownError(CutoverError):
    """An act may or may not have taken effect."""

    exit_code = ExitCode.UNKNOWN


class LockedError(CutoverError):
    """Somebody else is at work on the same thing."""

    exit_code = ExitCode.LOCKED


class AbortedError(CutoverError):
    """The operator stopped the work."""

    exit_code = ExitCode.ABORTED
