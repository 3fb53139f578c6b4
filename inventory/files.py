"""The text of files that people write: inventories, catalogs, and an operator's lists."""

from __future__ import annotations

from pathlib import Path

from errors import UsageError


def read_text(path: Path, label: str = "") -> str:
    """Return the text of a file; UsageError, which names it by its label or its name, if it can't be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"Reading {label or path.name} failed: {_reason(error)}.") from error


def read_lines(path: str) -> tuple[str, ...]:
    """Return the lines of an operator's file, without blank lines and `#` comments."""
    return tuple(line for _, line in read_numbered_lines(path))


def read_numbered_lines(path: str, *, comments_after: bool = True) -> tuple[tuple[int, str], ...]:
    """Return the lines of an operator's file with their numbers, without blank lines and `#` comments.

    Without `comments_after` only a line that begins with `#` is a comment: a reason may name ticket #412.
    """
    text = read_text(Path(path).expanduser(), path)
    lines = enumerate(text.splitlines(), start=1)
    if comments_after:
        return tuple((number, line) for number, raw in lines if (line := raw.split("#")[0].strip()))
    return tuple((number, line) for number, raw in lines if (line := raw.strip()) and not line.startswith("#"))


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8 text"
