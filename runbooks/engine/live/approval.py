"""The second person: what waits for an approval, and the approval itself, a text on the shelf."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from errors import CutoverError, RefusedError
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.ports import Clock, ObjectStore

PAUSE = timedelta(seconds=2)


@dataclass(frozen=True, kw_only=True)
class Request:
    """A point of no return that waits for a second person."""

    run: str
    step: str  # its key
    typist: str  # who typed the word, such as `chris@laptop`
    at: datetime
    statements: tuple[str, ...]  # what was shown to the typist

    def refuse_typist(self, operator: str) -> None:
        """RefusedError where the operator is who typed the word, on whatever machine."""
        if _person(operator) == _person(self.typist):
            message = f"{self.typist} typed the date at {self.at:%H:%M:%S} UTC, so somebody else must approve it."
            raise RefusedError(message, hint="Ask a colleague to run the same command under a name of their own.")


def requested(events: Iterable[Event]) -> Request | None:
    """What waits for a second person, if anything does."""
    run, request = "", None
    for event in events:
        if event.kind is Kind.BEGAN:
            run = event.data["run"]
        elif event.data.get("confirmed"):
            said = tuple(event.data.get("statements", ()))
            request = Request(run=run, step=event.step, typist=event.operator, at=event.at, statements=said)
        elif event.data.get("approved") or event.kind is Kind.ABANDONED:
            request = None
    return request


def put_approval(object_store: ObjectStore, request: Request, operator: str) -> None:
    """Puts the operator's approval where the waiting run sees it. RefusedError for who typed the word."""
    request.refuse_typist(operator)
    name = re.sub(r"[^\w.-]", "_", operator)
    object_store.put_new(f"{_folder(request.run)}{name}", json.dumps({"operator": operator}))


@dataclass(frozen=True)
class StoreApprovals:
    """Approvals on the shelf, which any machine may have put there."""

    object_store: ObjectStore
    clock: Clock

    def approver(self, run: str, typist: str) -> str:
        """Waits until somebody else than who typed the word has approved the run; who that is."""
        while True:
            with suppress(CutoverError):  # a store that is out of sight for a moment only makes the wait longer
                for operator in self._operators(run):
                    if _person(operator) != _person(typist):
                        return operator
            self.clock.wait(PAUSE)

    def _operators(self, run: str) -> list[str]:
        texts = [self.object_store.get(name) for name in self.object_store.names(_folder(run))]
        return [str(json.loads(text)["operator"]) for text in texts if text]


def _folder(run: str) -> str:
    return f"approvals/{run}/"


def _person(operator: str) -> str:
    """Without the machine."""
    return operator.rpartition("@")[0]
