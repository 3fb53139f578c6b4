"""The second person's approval: the pending request, and the approval as a text in the object store."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

from errors import CutoverError, RefusedError
from runbooks.engine.model.history import Word
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
    number: int = 0  # of the event by which the date was typed
    scope: str = ""  # the digest it was typed for; empty if an earlier version waits

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
            request = Request(
                run=run,
                step=event.step,
                typist=event.operator,
                at=event.at,
                statements=statements,
                number=event.number,
                scope=event.data.get("scope", ""),
            )
        elif event.data.get("approved") or event.kind in (Kind.ABANDONED, Kind.ENDED):
            request = None
    return request


def put_approval(object_store: ObjectStore, request: Request, operator: str) -> None:
    """Store the operator's approval where the waiting run sees it. Raises RefusedError for the typist."""
    request.refuse_typist(operator)
    name = re.sub(r"[^\w.-]", "_", operator)
    folder = _folder(request.run, request.number if request.scope else 0)
    object_store.put_new(f"{folder}{name}", json.dumps({"operator": operator}))


@dataclass(frozen=True)
class StoreApprovals:
    """Approvals in the object store, put there from any machine."""

    object_store: ObjectStore
    clock: Clock

    def approver(self, run: str, typed: Word) -> str:
        """Wait until a person other than the typist has approved the typed date; return that person."""
        while True:
            with suppress(CutoverError):  # an unreachable store only prolongs the wait
                for operator in self._operators(_folder(run, typed.number)):
                    if _person(operator) != _person(typed.operator):
                        return operator
            self.clock.wait(PAUSE)

    def _operators(self, folder: str) -> list[str]:
        texts = [self.object_store.get(name) for name in self.object_store.names(folder)]
        return [str(json.loads(text)["operator"]) for text in texts if text]


def _folder(run: str, typed: int) -> str:
    """Return the folder of approvals of a date typed by the event of that number; 0: by an earlier version."""
    return f"approvals/{run}/{typed}/" if typed else f"approvals/{run}/"


def _person(operator: str) -> str:
    """Return the operator without the machine."""
    return operator.rpartition("@")[0]
