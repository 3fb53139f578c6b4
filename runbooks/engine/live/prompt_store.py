"""An object store whose silence is told to the operator, and never holds up Ctrl-C."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty
from typing import TypeVar

from errors import CutoverError
from runbooks.engine.live.background import begun
from runbooks.engine.live.interrupt import Interruption
from runbooks.engine.model.ports import ObjectStore

T = TypeVar("T")
GLANCE = 0.1  # seconds between two looks for the answer
SILENCE = 4.0  # seconds after which the operator is told
LAST_SECONDS = 1.2  # after an interruption; what is not answered by then is given up


@dataclass(frozen=True)
class PromptStore:
    """Asks an object store in threads, so that a hanging one holds up nothing but what needs its answer."""

    object_store: ObjectStore
    warn: Callable[[str], None]
    interruption: Interruption = field(default_factory=Interruption)

    def put_new(self, name: str, text: str) -> bool:
        """Store a text permanently; return False if that name holds another text already."""
        return self._answer(lambda: self.object_store.put_new(name, text), f"storing {name}")

    def get(self, name: str) -> str | None:
        """Return the text with that name; None if there is none."""
        return self._answer(lambda: self.object_store.get(name), f"fetching {name}")

    def names(self, start: str) -> list[str]:
        """Return every name that begins with `start`, in order."""
        return self._answer(lambda: self.object_store.names(start), f"listing {start}")

    def _answer(self, ask: Callable[[], T], what: str) -> T:
        answer, end, reported = begun(ask), time.monotonic() + SILENCE, False
        while True:
            with suppress(Empty):
                return answer.get(timeout=GLANCE).result()
            if self.interruption.seconds > LAST_SECONDS:
                raise CutoverError(f"The store did not answer before the run ended: {what}.")
            if not reported and time.monotonic() > end:
                reported = True
                self.warn(f"The store has not answered for {SILENCE:.0f} s: {what}. Waiting for it; Ctrl-C stops.")
