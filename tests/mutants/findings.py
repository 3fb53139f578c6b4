"""The findings of all runs, in two files: work that is interrupted continues, and several processes share it."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutants import instrument
from tests.mutants.instrument import ROOT, Place
from tests.mutants.switch import Off

FOLDER = ROOT / ".torture"
LOOKS, TRIES = FOLDER / "mutants-looks.jsonl", FOLDER / "mutants-tries.jsonl"


@dataclass(frozen=True)
class Guard:
    """One guard, and one way to switch it off."""

    site: str  # file, function, text, and which of these
    off: Off

    def __str__(self) -> str:
        """Return it as it is written down."""
        return f"{self.site} {self.off.value}"


@dataclass(frozen=True)
class Look:
    """One test as it is: how long it took, and the guards to which it makes a difference that they are on."""

    test: str
    seconds: float
    guards: Collection[str]


@dataclass(frozen=True)
class Tries:
    """The tests that ran under a guard switched off; `killer` is the one that failed."""

    missed_by: Collection[str] = ()
    killer: str = ""


def guards() -> Mapping[Guard, Place]:
    """Return every guard of today's code."""
    return {Guard(site, off): place for site, place in instrument.places().items() for off in place.ways}


def looks() -> Mapping[str, Look]:
    """Return the last look at each test whose file is as it was then."""
    return {
        line["test"]: Look(line["test"], line["seconds"], line["guards"])
        for line in _lines(LOOKS)
        if line["code"] == _code(line["test"])
    }


def write_look(look: Look) -> None:
    """Keep a look at a test."""
    _append(LOOKS, {**vars(look), "guards": sorted(look.guards), "code": _code(look.test)})


def tries(places: Mapping[Guard, Place]) -> Mapping[Guard, Tries]:
    """Return what was tried of each guard whose function is as it was then."""
    by_name = {str(guard): guard for guard in places}
    found: dict[Guard, Tries] = defaultdict(Tries)
    for line in _lines(TRIES):
        guard = by_name.get(line["guard"])
        if guard and places[guard].code == line["code"]:
            found[guard] = Tries({*found[guard].missed_by, *line["missed_by"]}, line["killer"] or found[guard].killer)
    return found


def write_tries(guard: Guard, place: Place, tried: Tries) -> None:
    """Keep what was tried of a guard."""
    _append(TRIES, {"guard": str(guard), "code": place.code, **vars(tried), "missed_by": sorted(tried.missed_by)})


def _code(test: str) -> str:
    """Return the digest of a test's file; empty when it is gone."""
    path = ROOT / test.partition("::")[0]
    return hashlib.sha256(path.read_bytes()).hexdigest()[:12] if path.exists() else ""


def _lines(path: Path) -> Iterator[Mapping[str, Any]]:
    if path.exists():
        yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def _append(path: Path, line: Mapping[str, object]) -> None:
    FOLDER.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(json.dumps(line) + "\n")
