"""The shared memory that a killed PostgreSQL server leaves in the system, besides its files: one small segment."""

from __future__ import annotations

import ctypes
from pathlib import Path

LINE = 6  # of postmaster.pid, from 0: has the segment's key and id
IPC_RMID = 0


def release(data: Path) -> None:
    """Free the segment of a data directory whose server is dead; harmless if the server has freed it."""
    try:
        key, segment = map(int, (data / "postmaster.pid").read_text().splitlines()[LINE].split())
    except (OSError, ValueError, IndexError):
        return
    system = ctypes.CDLL(None)
    # Look the key up again: after a restart of the machine, another server may have the id.
    if system.shmget(ctypes.c_int(key), ctypes.c_size_t(0), 0) == segment:
        system.shmctl(segment, IPC_RMID, None)
