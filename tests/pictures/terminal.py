"""A command at a real terminal of a chosen width, and the screen that it leaves."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

ROWS = 60
CONTROL = re.compile(r"\x1b\[(\??[\d;]*)([A-Za-z])")


def typed(command: Sequence[str], width: int, folder: Path, variables: Mapping[str, str]) -> str:
    """Run a command in a folder at a terminal of this width; return all that it wrote. Raises CalledProcessError."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, width, 0, 0))
    environment = {**os.environ, **variables, "TERM": "xterm-256color", "COLUMNS": str(width), "LINES": str(ROWS)}
    with subprocess.Popen(command, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        written = _all_of(ours)
    os.close(ours)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, list(command), output=written)
    return written


def _all_of(terminal: int) -> str:
    """Return what is written to a terminal until its last writer has left it."""
    parts: list[bytes] = []
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # Linux says so when the other side is closed
            part = b""
        if not part:
            return b"".join(parts).decode()
        parts.append(part)


def screen(written: str) -> list[str]:
    """Return the lines that stay on a terminal, with their colors, after what was drawn over is gone.

    It knows what Rich writes: colors, a line up, a line erased, the cursor hidden and shown.
    """
    lines, row, end = [""], 0, 0
    for found in [*CONTROL.finditer(written), None]:
        for character in written[end : found.start() if found else None]:
            if character == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif character != "\r":
                lines[row] += character
        if found is None:
            break
        end = found.end()
        if found[2] == "A":
            row = max(row - int(found[1] or 1), 0)
        elif found[2] == "K":
            lines[row] = ""
        elif found[2] == "m":
            lines[row] += found[0]
    return without_blank_end(lines)


def without_blank_end(lines: Sequence[str]) -> list[str]:
    """Return lines with colors without the blank ones at their end."""
    shown = [number for number, line in enumerate(lines, 1) if CONTROL.sub("", line).strip()]
    return list(lines[: shown[-1] if shown else 0])
