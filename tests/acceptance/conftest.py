"""A whole rehearsal, and this tool as its users start it: a process in a folder."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from inventory.load import ROOT
from rehearsal import lab
from rehearsal.endpoints import Endpoints
from tests.inside import Said, inv_inside

Typed = Callable[..., Said]  # the words after `inv`


@dataclass(frozen=True)
class Lab:
    """A running rehearsal."""

    home: Path
    endpoints: Endpoints

    def inv(self, *words: str) -> Said:
        """Run `inv` as an operator does, without a terminal."""
        return inv(*words, home=self.home)


def inv(*words: str, home: Path) -> Said:
    """Run `inv` with the rehearsal in `home`, whether one is up there or not, and return its end."""
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        env={**os.environ, "REHEARSAL_HOME": str(home), "CUTOVER_ENV": "rehearsal"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
    )
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def running() -> Iterator[Lab]:
    """One rehearsal for all tests that leave it as they found it."""
    home = Path(tempfile.mkdtemp(prefix="lab-"))
    yield Lab(home, lab.up(home))
    lab.down(home)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def typed(running: Lab, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """Return the same commands with the operator's half in this process; the debug host's is a process as ever."""
    monkeypatch.setenv("REHEARSAL_HOME", str(running.home))
    monkeypatch.setenv("CUTOVER_ENV", "rehearsal")
    return partial(inv_inside, capsys)


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A folder in which no rehearsal is up."""
    return tmp_path / "nowhere"
