"""What is on or off by a word in a file."""

from __future__ import annotations

from pathlib import Path

from errors import CutoverError
from rehearsal.files import write_whole

ENABLED, DISABLED = "enabled", "disabled"
ON, OFF = "on", "off"
LARGE, SMALL = "large", "small"


def put(path: Path, word: str) -> str:
    """Writes the word; says nothing, as the tools of production do."""
    write_whole(path, f"{word}\n")
    return ""


def look(path: Path) -> str:
    """The word that stands there."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CutoverError(f"Reading {path} failed: {error.strerror}.") from error
