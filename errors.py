"""Errors that a tired operator can act on: operation, object, cause, then a hint."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from functools import partial


class ExitCode(IntEnum):
    """The exit codes this tool promises; docs/exit-codes.md lists them."""

    DONE = 0
    USAGE = 2  # bad arguments, inventory or input file; nothing was changed
    FAILED = 10  # a step, a school or a table failed
    ABORTED = 11  # the operator stopped
    UNKNOWN = 12  # an outcome is left unknown
    DEBT = 13  # something is still switched off, and nothing else applies
    LOCKED = 14  # another run holds the lock
    INTERRUPTED = 130  # Ctrl-C


class CutoverError(Exception):
    """Something failed; `str()` is one sentence, `hint` is what to do next."""

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(CutoverError):
    """The arguments or files are wrong; nothing was changed."""

    exit_code = ExitCode.USAGE


class Problems(UsageError):
    """Several mistakes, found before anything started and reported at once."""

    def __init__(self, summary: str, problems: Sequence[str], *, hint: str = "") -> None:
        super().__init__("\n".join([summary, *(f"  - {problem}" for problem in problems)]), hint=hint)
        self.problems = tuple(problems)
        self._summary = summary

    def __reduce__(self) -> tuple[object, ...]:
        """Return what pickle needs: a worker process hands the error on."""
        return partial(Problems, hint=self.hint), (self._summary, self.problems)


class RefusedError(CutoverError):
    """A safety rule forbids the act; nothing was changed."""


class DamagedError(RefusedError):
    """The input is damaged; nothing was changed."""

    exit_code = ExitCode.USAGE


class UnknownError(CutoverError):
    """An act may or may not have taken effect."""

    exit_code = ExitCode.UNKNOWN


class LockedError(CutoverError):
    """Another run is at work on the same thing."""

    exit_code = ExitCode.LOCKED


class AbortedError(CutoverError):
    """The operator stopped the work."""

    exit_code = ExitCode.ABORTED
