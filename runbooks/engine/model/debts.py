"""Debts: everything that was, or may have been, switched off and is not verified to be back on. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from errors import CutoverError, ExitCode
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.step import Debt

TIMES = "\N{MULTIPLICATION SIGN}"


class DebtLeft(CutoverError):
    """All steps are done, and something is still switched off."""

    exit_code = ExitCode.DEBT


def owed(events: Iterable[Event]) -> tuple[Debt, ...]:
    """Return the debts that these events leave open, oldest first.

    A debt begins with the intent, because an interrupted act may have taken effect; only a proof pays it.
    """
    debts: dict[Debt, None] = {}
    for event in events:
        done = event.kind is Kind.RESULT and event.data["outcome"] == Outcome.DONE.value
        if event.data.get("owes") and (done or event.kind is Kind.INTENT):
            debts[_debt(event.data["owes"])] = None
        if event.data.get("pays") and done:
            debts.pop(_debt(event.data["pays"]), None)
    return tuple(debts)


def summed(debts: Iterable[Debt]) -> str:
    """Return the debts in one line, each kind once with its count; `none` if there are none."""
    counts = Counter(debt.what for debt in debts)
    return " · ".join(what if count == 1 else f"{what} {TIMES}{count}" for what, count in counts.items()) or "none"


def detailed(debts: Iterable[Debt]) -> tuple[str, ...]:
    """Return the debts with their hosts, one line for each kind."""
    places: dict[str, list[str]] = {}
    for debt in debts:
        places.setdefault(debt.what, []).append(debt.where)
    return tuple(f"{what}: {', '.join(where)}" for what, where in places.items())


def as_data(debt: Debt | None) -> dict[str, str] | None:
    """Return a debt as the journal stores it."""
    return {"what": debt.what, "where": debt.where} if debt else None


def _debt(data: Mapping[str, Any]) -> Debt:
    return Debt(what=data["what"], where=data["where"])
