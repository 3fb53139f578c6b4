"""Files of the lab: secrets that only their owner can read, and files that are complete or not there."""

from __future__ import annotations

import json
import os
from pathlib import Path


def write_secret(path: Path, text: str, *, owner: int | None = None) -> None:
    """Write a file that no other user can read at any moment; `owner` is another user's id."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    if owner is not None:
        os.chown(path, owner, -1)


def write_whole(path: Path, text: str) -> None:
    """Write a file atomically: a reader sees the old content or the new one, never a part."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    write_secret(part, text)
    part.replace(path)


def write_json(path: Path, value: object) -> None:
    """Write plain data as JSON, atomically."""
    write_whole(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def tail(path: Path, lines: int = 3) -> str:
    """Return the last lines of a log as one line, for an error."""
    try:
        last = path.read_text(encoding="utf-8", errors="replace").split("\n")[-lines - 1 :]
    except OSError:
        last = []
    return " / ".join(last).strip(" /") or "its log is empty"
