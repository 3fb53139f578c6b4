"""The findings of each guard, kept in a file so that an interrupted run goes on, and the reasons of survivors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.switch import Off

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Guard:
    """One guard, and one way to switch it off."""

    site: str  # file:line:column
    off: Off


# A guard that no test misses, and why that is right: its line as it is written, and the reason.
REASONS: Mapping[str, str] = {}


def _place() -> Path:
    """Return the file for the code as it is now: lines move."""
    code = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(ROOT.glob("archiver/**/*.py"))))
    return ROOT / ".torture" / f"mutants-{code.hexdigest()[:12]}.jsonl"


def found() -> dict[Guard, str]:
    """Return the test that missed each guard tried so far; an empty word for one that none missed."""
    if not _place().exists():
        return {}
    lines = map(json.loads, _place().read_text(encoding="utf-8").splitlines())
    return {Guard(line["site"], Off(line["off"])): line["killer"] for line in lines}


def write(guard: Guard, killer: str) -> None:
    """Keep what was found of a guard."""
    _place().parent.mkdir(exist_ok=True)
    with _place().open("a", encoding="utf-8") as file:
        file.write(json.dumps({"site": guard.site, "off": guard.off.value, "killer": killer}) + "\n")


def without_a_reason() -> list[Guard]:
    """Return the guards that no test missed, and for which no reason is written."""
    return [guard for guard, killer in found().items() if not killer and _line(guard) not in REASONS]


def told() -> str:
    """Return the numbers, and each survivor with its line."""
    every = found()
    left = [guard for guard, killer in every.items() if not killer]
    lines = [f"{guard.site} {guard.off.value}: {REASONS.get(_line(guard), _line(guard))}" for guard in left]
    return "\n".join([f"{len(every)} guards switched off, {len(left)} missed by no test", *lines, ""])


def _line(guard: Guard) -> str:
    file, line, _ = guard.site.rsplit(":", 2)
    return (ROOT / file).read_text(encoding="utf-8").splitlines()[int(line) - 1].strip()
