"""Where rows lie between COPY and tarball: a folder a run, gone afterwards, and swept where a run was killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from errors import CutoverError

_START = "run-"


@contextmanager
def work_folder(home: Path) -> Iterator[Path]:
    """An empty folder, gone afterwards; first go those that killed runs left. CutoverError where the disk fails."""
    try:
        with ExitStack() as life:
            home.mkdir(parents=True, exist_ok=True)
            with _locked(home):
                _sweep(home)
                folder = Path(tempfile.mkdtemp(prefix=_START, dir=home))
                life.enter_context(_locked(folder))
            life.callback(shutil.rmtree, folder, ignore_errors=True)
            yield folder
    except BrokenPipeError:
        raise  # whoever read our output is gone; nothing is wrong with the folder
    except OSError as error:
        raise CutoverError(
            f"Working in {home} failed: {error.strerror or error}.",
            hint="Is there space, and may this user write there? TMPDIR names another place.",
        ) from error


def _sweep(home: Path) -> None:
    """Removes the folders that no living run holds a lock on."""
    for folder in home.glob(f"{_START}*"):
        with suppress(OSError), _locked(folder, at_once=True):
            shutil.rmtree(folder)


@contextmanager
def _locked(folder: Path, *, at_once: bool = False) -> Iterator[None]:
    """A lock that ends with the process; `at_once`: BlockingIOError where somebody has it."""
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX | (fcntl.LOCK_NB if at_once else 0))
        yield
    finally:
        os.close(held)
