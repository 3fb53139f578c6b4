"""Debts: everything that was, or may have been, switched off and is not verified to be back on. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from errors import CutoverError, ExitCode
from runbooks.engine.model.deferral import debt_of, deferred_work
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.step import Debt

TIMES = "\N{MULTIPLICATION SIGN}"


class DebtLeft(CutoverError):
    """All steps are done, and something is still switched off."""

    exit_code = ExitCode.DEBT


def owed(events: Sequence[Event]) -> tuple[Debt, ...]:
    """Return the debts that these events leave open, oldest first; then deferred work that switches nothing on.

    What deferred work would have switched on has its day.
    """
    work = deferred_work(events)
    dated = {each.pays: each for each in work if each.pays}
    debts = (dated[debt].dated(debt) if debt in dated else debt for debt in _switched_off(events))
    return (*debts, *(each.dated(Debt(what=each.title, where=each.host)) for each in work if not each.pays))


def owed_now(events: Sequence[Event]) -> tuple[Debt, ...]:
    """Return the debts that no deferral lets wait."""
    return tuple(debt for debt in owed(events) if debt.due is None)


def _switched_off(events: Iterable[Event]) -> tuple[Debt, ...]:
    """Return what is off, oldest first.

    A debt begins with the intent, because an interrupted act may have taken effect; only a proof pays it.
    """
    debts: dict[Debt, None] = {}
    for event in events:
        done = event.kind is Kind.RESULT and event.data["outcome"] == Outcome.DONE.value
        if event.data.get("owes") and (done or event.kind is Kind.INTENT):
            debts[debt_of(event.data["owes"])] = None
        if event.data.get("pays") and done:
            debts.pop(debt_of(event.data["pays"]), None)
    return tuple(debts)


def summed(debts: Iterable[Debt]) -> str:
    """Return the debts in one line, each kind once with its count; `none` if there are none."""
    counts = Counter(debt.what + (f", deferred to {debt.due}" if debt.due else "") for debt in debts)
    return " · ".join(what if count == 1 else f"{what} {TIMES}{count}" for what, count in counts.items()) or "none"


def detailed(debts: Iterable[Debt]) -> tuple[str, ...]:
    """Return the debts with their hosts, one line for each kind and day."""
    places: dict[tuple[str, str], list[str]] = {}
    for debt in debts:
        day = f", deferred to {debt.due} by {debt.by}" if debt.due else ""
        places.setdefault((debt.what, day), []).append(debt.where)
    return tuple(f"{what}: {', '.join(where)}{day}" for (what, day), where in places.items())


def as_data(debt: Debt | None) -> dict[str, str] | None:
    """Return a debt as the journal stores it."""
    return {"what": debt.what, "where": debt.where} if debt else None
