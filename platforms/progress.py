"""How far something is that a platform does after it was asked to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class State(Enum):
    """Whether there is anything left to wait for."""

    PENDING = "going on"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """What the platform says of it."""

    state: State
    sentence: str
