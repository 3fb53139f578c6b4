"""The second person's approval: the pending request, and the approval as a text in the object store."""

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
    typist: str  # the operator who typed the word, e.g. `chris@laptop`
    at: datetime
    statements: tuple[str, ...]  # shown to the typist

    def refuse_typist(self, operator: str) -> None:
        """Raise RefusedError if the operator is the typist, on any machine."""
        if _person(operator) == _person(self.typist):
            message = f"{self.typist} typed the date at {self.at:%H:%M:%S} UTC, so another person must approve it."
            raise RefusedError(message, hint="Ask a colleague to run the same command under a name of their own.")


def requested(events: Iterable[Event]) -> Request | None:
    """Return the request that waits for a second person; None if there is none."""
    run, request = "", None
    for event in events:
        if event.kind is Kind.BEGAN:
            run = event.data["run"]
        elif event.data.get("confirmed"):
            statements = tuple(event.data.get("statements", ()))
            request = Request(run=run, step=event.step, typist=event.operator, at=event.at, statements=statements)
        elif event.data.get("approved") or event.kind is Kind.ABANDONED:
            request = None
    return request


def put_approval(object_store: ObjectStore, request: Request, operator: str) -> None:
    """Store the operator's approval where the waiting run sees it. Raises RefusedError for the typist."""
    request.refuse_typist(operator)
    name = re.sub(r"[^\w.-]", "_", operator)
    object_store.put_new(f"{_folder(request.run)}{name}", json.dumps({"operator": operator}))


@dataclass(frozen=True)
class StoreApprovals:
    """Approvals in the object store, put there from any machine."""

    object_store: ObjectStore
    clock: Clock

    def approver(self, run: str, typist: str) -> str:
        """Wait until a person other than the typist has approved the run; return that person."""
        while True:
            with suppress(CutoverError):  # an unreachable store only prolongs the wait
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
    """Return the operator without the machine."""
    return operator.rpartition("@")[0]
