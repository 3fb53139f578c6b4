"""The record of tries, so that an interrupted torture continues where it was; changed code starts over."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".torture"
ARCHIVER = ("errors.py", "archiver/**/*.py", "inventory/*.yaml", "rehearsal/seed*.py", "rehearsal/schema/*")
NIGHT = ("errors.py", "runbooks/**/*.py", "archiver/**/*.py", "inventory/*", "rehearsal/**/*.py", "rehearsal/schema/*")
TRIES = "TORTURE_TRIES"  # the variable that says how many tries of each kind are wanted: a number, or ALL
ALL = "all"
LOSSES = {ARCHIVER: "rows lost", NIGHT: "faults"}  # what is counted, by the files under torture


@dataclass(frozen=True)
class Ledger:
    """The tries of one kind, in a file of their own."""

    kind: str
    judged: Sequence[str] = ARCHIVER  # the files under torture

    @property
    def path(self) -> Path:
        """The file for the code as it is now."""
        return self._path("jsonl")

    def left(self, names: Sequence[str], share: int | None = None) -> list[str]:
        """Write down how many tries there are in all, and return the names of those that are wanted and not yet made.

        `names` are in an order of which every beginning is a fair sample: a share of so many tries is such a beginning.
        The variable TRIES says another share, or all.
        """
        self._path("of").parent.mkdir(parents=True, exist_ok=True)
        self._path("of").write_text(f"{len(names)}\n", encoding="utf-8")
        tried = {str(line["name"]) for line in read(self.path)}
        said = os.environ.get(TRIES, share)
        wanted = names if said in (None, ALL) else names[: int(said)]
        return [name for name in wanted if name not in tried]

    def add(self, name: str, *, lost: int, seconds: float, how: str = "") -> None:
        """Write one try down, when it has been judged."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            line = {"name": name, "lost": lost, "seconds": round(seconds, 2), "how": how}
            file.write(json.dumps(line) + "\n")

    def _path(self, suffix: str) -> Path:
        return FOLDER / _fingerprint(self.judged) / f"{self.kind}.{suffix}"


def read(path: Path) -> list[dict[str, object]]:
    """Return the lines of a ledger; none where nothing was tried."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def summary() -> str:
    """The numbers of tries, of all that there are, and of what was lost, a line for each kind."""
    return "\n".join(
        _summed(path, loss)
        for judged, loss in LOSSES.items()
        for path in sorted((FOLDER / _fingerprint(judged)).glob("*.jsonl"))
    )


def _summed(path: Path, loss: str) -> str:
    found = read(path)
    lost = sum(int(str(line["lost"])) for line in found)
    seconds = sum(float(str(line["seconds"])) for line in found)
    of = path.with_suffix(".of").read_text(encoding="utf-8").strip()
    return f"{path.stem:<40} {len(found):>5} of {of:>5} tries {lost:>4} {loss:<9} {seconds:>7.0f} s"


def _fingerprint(judged: Sequence[str]) -> str:
    """Return a digest of the code and the seed under torture."""
    digest = hashlib.sha256()
    for pattern in judged:
        for path in sorted(ROOT.glob(pattern)):
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
