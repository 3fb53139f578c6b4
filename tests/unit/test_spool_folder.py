"""Work folders hold people's data: none outlives its run for longer than until the next one."""

from __future__ import annotations

import errno
import subprocess
import sys
from pathlib import Path

import pytest

from archiver.format.spool_folder import work_folder
from errors import CutoverError

KILLED = """
import os, pathlib, signal, sys
from archiver.format.spool_folder import work_folder
with work_folder(pathlib.Path(sys.argv[1])) as folder:
    (folder / "students.copy").write_text("Ada")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_has_a_folder_of_its_own_and_leaves_nothing(tmp_path: Path) -> None:
    with work_folder(tmp_path / "work") as one, work_folder(tmp_path / "work") as other:
        (one / "students.copy").write_text("Ada")
        assert one != other
        assert list(other.iterdir()) == []
    assert list((tmp_path / "work").iterdir()) == []


def test_leftovers_of_a_killed_run_are_deleted_by_the_next_one(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], cwd=Path(__file__).parents[2], check=False)
    [left] = tmp_path.iterdir()

    with work_folder(tmp_path) as folder:
        assert not left.exists()
        assert folder.exists()


def test_a_full_disk_is_an_error_in_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CutoverError, match=f"Working in {tmp_path} failed: No space left on device"):  # noqa: SIM117
        with work_folder(tmp_path):
            raise OSError(errno.ENOSPC, "No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_a_reader_that_went_away_is_not_the_disks_fault(tmp_path: Path) -> None:
    with pytest.raises(BrokenPipeError), work_folder(tmp_path):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    assert list(tmp_path.iterdir()) == []
