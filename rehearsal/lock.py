"""The lock of a lab, held by the process that starts it or takes it down; the system frees it when it ends."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from errors import CutoverError, LockedError, UsageError
from inventory.private_folder import private_folder
from rehearsal.layout import Layout
from rehearsal.postgres_programs import OPEN_FOLDER
from rehearsal.waiting import await_condition

PATIENCE = 180  # seconds; longer than a lab takes to start


@contextmanager
def locked(home: Path) -> Iterator[None]:
    """Hold a lab's lock while the block runs; wait if another process has it.

    Raises UsageError if the folder is not a lab's, LockedError if the other process takes too long.
    """
    _refuse_strangers_folder(home)
    path = Layout(home).lock
    try:
        descriptor = await_condition(lambda: _taken(path), doing=f"Locking {home}", seconds=PATIENCE)
    except CutoverError as error:
        who = f"process {_owner(path)}"
        raise LockedError(f"The rehearsal in {home} is being started or taken down by {who}.") from error
    try:
        yield
    finally:
        os.close(descriptor)


def _refuse_strangers_folder(home: Path) -> None:
    """Raise UsageError if the folder is not a lab's: everything in a lab's folder is removed one day."""
    if home.exists() and not Layout(home).lock.exists() and (not home.is_dir() or any(home.iterdir())):
        hint = "REHEARSAL_HOME must name a folder that is empty or not there."
        raise UsageError(f"{home} is not the folder of a rehearsal, and not empty.", hint=hint)


def _taken(path: Path) -> int | None:
    """Return a descriptor that holds the lock; None if another process does, or has removed the file."""
    private_folder(path.parent, OPEN_FOLDER)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            os.truncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip() or "unknown"
    except OSError:
        return "unknown"
