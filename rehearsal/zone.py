"""The lab's DNS names: a text file, one name a line, so that a person can read it and change it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rehearsal.files import write_whole

LONGEST_CHAIN = 8


@dataclass(frozen=True)
class Entry:
    """One line."""

    name: str
    kind: str  # A or CNAME
    value: str


def read(path: Path) -> dict[str, Entry]:
    """The names of a zone, in lower case and without the last dot."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {words[0]: Entry(*words) for words in lines if len(words) == 3}


def write(path: Path, entries: dict[str, Entry]) -> None:
    """Writes a zone, whole."""
    write_whole(path, "".join(f"{entry.name} {entry.kind} {entry.value}\n" for entry in entries.values()))


def upsert(path: Path, entry: Entry) -> None:
    """Makes a name, or points it elsewhere."""
    write(path, {**read(path), entry.name: entry})


def chain(entries: dict[str, Entry], name: str) -> list[Entry]:
    """The entries from a name to its address; empty where there is no such name."""
    found: list[Entry] = []
    entry = entries.get(name)
    while entry is not None and len(found) < LONGEST_CHAIN:
        found.append(entry)
        entry = entries.get(entry.value) if entry.kind == "CNAME" else None
    return found
