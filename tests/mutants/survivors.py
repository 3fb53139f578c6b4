"""The guards that no test misses, and why that is right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from textwrap import shorten

from tests.mutants import findings
from tests.mutants.findings import Guard
from tests.mutants.instrument import Place

# The guard as the report prints it, and the reason: what comes first, or what would be the same without it.
REASONS: Mapping[str, str] = {}


def left() -> Mapping[Guard, str]:
    """Return the guards that no test missed and for which no reason is written, and what was tried."""
    places = findings.guards()
    tried = findings.tries(places)
    covered = {guard for look in findings.looks().values() for guard in look.guards}
    return {
        guard: _tried(guard, tried[guard].missed_by if guard in tried else (), covered)
        for guard in places
        if not (guard in tried and tried[guard].killer) and reason(guard, places[guard]) is None
    }


def reason(guard: Guard, place: Place) -> str | None:
    """Return why a guard may survive, if anything is written: of one way to switch it off, or of the guard."""
    return REASONS.get(f"{place.name} {guard.off.value}", REASONS.get(place.name))


def report(survivors: Mapping[Guard, str]) -> str:
    """Return the numbers, and each survivor with its line and what was tried."""
    places = findings.guards()
    tried = findings.tries(places)
    caught = sum(bool(each.killer) for each in tried.values())
    reasons = sum(reason(guard, place) is not None for guard, place in places.items())
    numbers = f"{len(places)} guards, {caught} missed by a test, {reasons} with a reason, {len(survivors)} left"
    return "\n".join([numbers, *(_line(guard, places[guard], why) for guard, why in survivors.items()), ""])


def _line(guard: Guard, place: Place, why: str) -> str:
    text = shorten(place.text, 100, placeholder="…")
    return f"{place.file}:{place.line} {place.function}: {text} {guard.off.value}: {why}"


def _tried(guard: Guard, missed_by: Collection[str], covered: set[str]) -> str:
    if missed_by:
        return f"{len(missed_by)} tests do not miss it"
    return "not tried yet" if str(guard) in covered else "it makes a difference to no test"
