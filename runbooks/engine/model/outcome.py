"""Outcomes of a step on a host."""

from __future__ import annotations

from enum import Enum


class Outcome(Enum):
    """The outcome of a step on a host."""

    PENDING = "pending"  # not begun
    RUNNING = "running"  # the intent is in the journal, the result is not
    DONE = "done"  # verified
    FAILED = "failed"  # the proof does not hold
    SKIPPED = "skipped"  # by an operator, with a reason
    DEFERRED = "deferred"  # left to a later day, by name
    UNKNOWN = "unknown"  # may have taken effect or not


SETTLED = (Outcome.DONE, Outcome.SKIPPED, Outcome.DEFERRED)
