"""Deferred work: left to a later day by name, and open until its step is proven. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.step import Debt


@dataclass(frozen=True, kw_only=True)
class DeferredWork:
    """A step's work on a host that waits for its day."""

    step: str  # its key
    title: str
    host: str
    until: date  # when it falls due
    by: str
    pays: Debt | None  # what it would have switched on

    def dated(self, debt: Debt) -> Debt:
        """Return a debt with the day of this work."""
        return replace(debt, due=self.until, by=self.by)

    def overdue(self, today: date) -> bool:
        """True if its day has passed."""
        return today > self.until


def deferred_work(events: Iterable[Event]) -> tuple[DeferredWork, ...]:
    """Return the deferred work of a night that is not proven to be done, oldest first; none of an abandoned night."""
    waiting: dict[tuple[str, str], DeferredWork] = {}
    for event in events:
        if event.kind is Kind.DEFERRED:
            waiting[(event.step, event.host)] = _work(event)
        elif event.kind is Kind.RESULT and event.data["outcome"] == Outcome.DONE.value:
            waiting.pop((event.step, event.host), None)
        elif event.kind is Kind.ABANDONED:
            waiting.clear()
    return tuple(waiting.values())


def debt_of(data: Mapping[str, Any]) -> Debt:
    """Return a debt that the journal has."""
    return Debt(what=data["what"], where=data["where"])


def _work(event: Event) -> DeferredWork:
    data = event.data
    until = date.fromisoformat(data["until"])
    pays = debt_of(data["pays"]) if data["pays"] else None
    return DeferredWork(step=event.step, title=data["title"], host=event.host, until=until, by=data["by"], pays=pays)
