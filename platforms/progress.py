"""The progress of an operation that a platform runs in the background."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """The state of the operation."""

    PENDING = "going on"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The state reported by the platform, with a description."""

    state: State
    sentence: str
