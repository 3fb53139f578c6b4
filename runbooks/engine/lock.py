"""One run per environment: a lock file that says who holds it."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from errors import LockedError


@contextmanager
def held(path: Path, about: Mapping[str, str]) -> Iterator[None]:
    """Holds the lock while the block runs; the kernel lets go of it when this process dies.

    Raises LockedError with what the holder wrote about itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked(path) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(dict(about)).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(path: Path) -> str:
    """Who holds the lock, as the holder wrote it; empty where nobody does."""
    if not path.exists():
        return ""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _described(file.read())
    return ""


def _described(text: str) -> str:
    try:
        about = json.loads(text)
    except ValueError:  # its holder is just writing it
        return "somebody who just began"
    return f"{about['who']} on {about['where']}, {about['what']}, since {about['since']} (process {about['pid']})"


def _locked(path: Path) -> LockedError:
    who = holder(path) or "somebody who just ended"
    return LockedError(f"Another run is at work in this environment: {who}.", hint="See inv cutover.status.")
