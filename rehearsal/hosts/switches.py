"""Switches: states that are stored as a word in a file."""

from __future__ import annotations

from pathlib import Path

from errors import CutoverError
from rehearsal.files import write_whole

ENABLED, DISABLED = "enabled", "disabled"
ON, OFF = "on", "off"
LARGE, SMALL = "large", "small"
DEPLOYED, REVERTED = "deployed", "reverted"
LINKED, UNLINKED = "linked", "unlinked"


def put(path: Path, word: str) -> str:
    """Write the word; return nothing to print, like the tools of production."""
    write_whole(path, f"{word}\n")
    return ""


def look(path: Path) -> str:
    """Return the word in the file."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CutoverError(f"Reading {path} failed: {error.strerror}.") from error
