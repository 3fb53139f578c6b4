"""What a killed PostgreSQL server leaves in the system besides files: a tiny segment of shared memory."""

from __future__ import annotations

import ctypes
from pathlib import Path

LINE = 6  # of postmaster.pid, from 0: the segment's key and id
IPC_RMID = 0


def release(data: Path) -> None:
    """Gives back the segment of a data directory whose server is dead; harmless where it did so itself."""
    try:
        key, segment = map(int, (data / "postmaster.pid").read_text().splitlines()[LINE].split())
    except (OSError, ValueError, IndexError):
        return
    system = ctypes.CDLL(None)
    # The key is told anew: after a restart of the machine the id may be another server's.
    if system.shmget(ctypes.c_int(key), ctypes.c_size_t(0), 0) == segment:
        system.shmctl(segment, IPC_RMID, None)
