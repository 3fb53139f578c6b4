"""A folder in memory for the tests' servers: on a disk, to copy a database costs five times as much."""

from __future__ import annotations

import os
from pathlib import Path

FOLDER = Path("/dev/shm")
ROOM = 5  # gibibytes; two labs at once take up to two of them, and their servers want some for themselves


def roomy_folder() -> Path | None:
    """Return a folder in memory for programs; None where this machine has none, or not enough memory to spare."""
    try:
        folder = os.statvfs(FOLDER)
        free = min(folder.f_bavail * folder.f_frsize, _available())
    except OSError:
        return None
    may_run = not folder.f_flag & os.ST_NOEXEC
    return FOLDER if may_run and os.access(FOLDER, os.W_OK) and free >= ROOM << 30 else None


def _available() -> int:
    """Bytes of memory that can be had without swapping."""
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    words = dict(line.split(":", 1) for line in lines)
    return int(words["MemAvailable"].split()[0]) << 10
