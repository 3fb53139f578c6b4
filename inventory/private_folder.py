"""Folders of this tool on this machine, under names that can be guessed: used only if no other user can reach in."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from errors import UsageError

PRIVATE = 0o700


def private_folder(path: Path, mode: int = PRIVATE) -> Path:
    """Return a folder that only this user may change and, by `mode`, read; make it and its parents if missing.

    Raises UsageError if it is a link, another user's, or if others may write to it or to a folder above it: they could
    have put a folder or a link of their own there. A folder that others may only read is closed to them.
    """
    try:
        return _closed(path, mode)
    except OSError as error:
        raise UsageError(f"Using the folder {path} failed: {error.strerror}.", hint=f"See  ls -lad {path}") from error


def _closed(path: Path, mode: int) -> Path:
    path.mkdir(mode=mode, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise _unsafe(path, "it is a link")
    if status.st_uid != os.geteuid():
        raise _unsafe(path, f"it belongs to another user ({status.st_uid})")
    for folder in (path, *path.parent.resolve().parents, path.parent.resolve()):
        if _open_to_all(folder):
            raise _unsafe(path, f"every user may write to {folder}")
    if stat.S_IMODE(status.st_mode) & 0o077 & ~mode:
        path.chmod(mode)
    return path


def _open_to_all(folder: Path) -> bool:
    """True if every user may replace what lies in a folder; in a sticky one, such as /tmp, only what is their own."""
    mode = folder.lstat().st_mode
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


def _unsafe(path: Path, why: str) -> UsageError:
    hint = f"Look at what lies there and who made it:  ls -lad {path} {path.parent}  Then remove it, or close it."
    return UsageError(f"{path} is no folder of this user alone: {why}. Nothing was written.", hint=hint)
