"""Numbers as a person reads them. Pure."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes: 812 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def many(count: int, noun: str) -> str:
    """A number of things: 1 school, 1,300 schools."""
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"


def numbered(number: int, total: int, line: str) -> str:
    """A line of a run over several, with its place: [ 5/36] school 21: archived."""
    return f"[{number:>{len(str(total))}}/{total}] {line}" if total > 1 else line
