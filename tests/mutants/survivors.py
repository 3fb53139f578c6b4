"""The guards that no test misses, and why that is right."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from textwrap import shorten

from tests.mutants import findings
from tests.mutants.findings import Guard
from tests.mutants.instrument import Place

# The guard as it is named in the files of findings, and why it may survive: what would be the same without it.
REASONS: Mapping[str, str] = {
    "archiver/delete/bookkeeping.py Bookkeeping._last: table not in self._with_last [1] is always true": (
        "It saves a pass: the relation would be made again, with the same rows."
    ),
    "archiver/delete/shared_rows.py deletable: start != model.root [1] is always true": (
        "It saves a pass: from the tenant's own row, all that is found above the start is that row itself."
    ),
    "archiver/delete/unchanged.py same_content: now == archived [1] is never true": (
        "It saves fetching the archive: lines are compared instead, and those of equal digests are equal."
    ),
    "archiver/load/load.py _replace: column.name not in fixed [1] is always true": (
        "A key is set to itself: the row was found by it."
    ),
    "archiver/reshard/id_ranges.py _advance_sequences: sequence.next <= highest [1] is always true": (
        "The ids reserved lie above all that the target's sequences gave out when they were read just before; only a "
        "sequence that a person advances in between would be set back, and no test can do that without a second reader."
    ),
    "archiver/store/standing.py _objects: stored.location in keys [1] is always true": (
        "It saves memory: objects of other records are never looked up."
    ),
}


def left() -> Mapping[Guard, str]:
    """Return the guards that no test missed and for which no reason is written, and what was tried."""
    places = findings.guards()
    tried = findings.tries(places)
    covered = {guard for look in findings.looks().values() for guard in look.guards}
    return {
        guard: _tried(guard, tried[guard].missed_by if guard in tried else (), covered)
        for guard in places
        if not (guard in tried and tried[guard].killer) and str(guard) not in REASONS
    }


def report(survivors: Mapping[Guard, str]) -> str:
    """Return the numbers, and each survivor with its line and what was tried."""
    places = findings.guards()
    tried = findings.tries(places)
    caught = sum(bool(each.killer) for each in tried.values())
    reasons = sum(str(guard) in REASONS for guard in places)
    numbers = f"{len(places)} guards, {caught} missed by a test, {reasons} with a reason, {len(survivors)} left"
    return "\n".join([numbers, *(_line(guard, places[guard], why) for guard, why in survivors.items()), ""])


def _line(guard: Guard, place: Place, why: str) -> str:
    text = shorten(place.text, 100, placeholder="…")
    return f"{place.file}:{place.line} {place.function}: {text} {guard.off.value}: {why}"


def _tried(guard: Guard, missed_by: Collection[str], covered: set[str]) -> str:
    if missed_by:
        return f"{len(missed_by)} tests do not miss it"
    return "not tried yet" if str(guard) in covered else "it makes a difference to no test"
