"""The lab's DNS names: a text file with one name per line, which a person can read and change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rehearsal.files import write_whole

LONGEST_CHAIN = 8


@dataclass(frozen=True)
class Entry:
    """One line of the file."""

    name: str
    kind: str  # A or CNAME
    value: str


def read(path: Path) -> dict[str, Entry]:
    """Return the names of a zone, in lower case and without the last dot."""
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {words[0]: Entry(*words) for words in lines if len(words) == 3}


def write(path: Path, entries: dict[str, Entry]) -> None:
    """Write a zone atomically."""
    write_whole(path, "".join(f"{entry.name} {entry.kind} {entry.value}\n" for entry in entries.values()))


def upsert(path: Path, entry: Entry) -> None:
    """Create a name, or point it elsewhere."""
    write(path, {**read(path), entry.name: entry})


def chain(entries: dict[str, Entry], name: str) -> list[Entry]:
    """Return the entries from a name to its address; empty if there is no such name."""
    entries_on_the_way: list[Entry] = []
    entry = entries.get(name)
    while entry is not None and len(entries_on_the_way) < LONGEST_CHAIN:
        entries_on_the_way.append(entry)
        entry = entries.get(entry.value) if entry.kind == "CNAME" else None
    return entries_on_the_way
