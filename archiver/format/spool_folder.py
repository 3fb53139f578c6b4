"""The folder for rows between COPY and tarball: one per run, removed afterwards, or by the next run after a kill."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from errors import CutoverError
from inventory.private_folder import private_folder

_START = "run-"


@contextmanager
def work_folder(home: Path) -> Iterator[Path]:
    """Yield an empty folder and remove it afterwards; first remove the folders that killed runs left.

    Raises CutoverError if the disk fails, UsageError if others may write to `home`.
    """
    try:
        with ExitStack() as cleanup:
            private_folder(home)
            with _locked(home):
                _sweep(home)
                folder = Path(tempfile.mkdtemp(prefix=_START, dir=home))
                cleanup.enter_context(_locked(folder))
            cleanup.callback(shutil.rmtree, folder, ignore_errors=True)
            yield folder
    except BrokenPipeError:
        raise  # the reader of our output has closed it; nothing is wrong with the folder
    except OSError as error:
        raise CutoverError(
            f"Working in {home} failed: {error.strerror or error}.",
            hint="Check the free space and this user's write permission there. TMPDIR selects another folder.",
        ) from error


def _sweep(home: Path) -> None:
    """Remove the folders that no running process has locked."""
    for folder in home.glob(f"{_START}*"):
        with suppress(OSError), _locked(folder, at_once=True):
            shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path, *, at_once: bool = False) -> Iterator[None]:
    """Lock a folder; the lock ends with the process. With `at_once`: BlockingIOError if another process has it."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (fcntl.LOCK_NB if at_once else 0))
        yield
    finally:
        os.close(descriptor)
