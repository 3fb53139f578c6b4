"""The whole night on a real lab: stopped by a failing check, killed, resumed, and nothing done twice."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from inventory.load import ROOT
from rehearsal import lab
from runbooks.engine.debts import owed
from runbooks.engine.history import read_history
from runbooks.engine.journal import Event, Kind, read_events
from runbooks.engine.step import Outcome

PROGRAM = """
import sys
from datetime import date
from errors import CutoverError
from inventory.load import load
from runbooks.cutover import rehearse
try:
    rehearse(load("rehearsal"), date(2014, 8, 15), go_on="go-on" in sys.argv)
except CutoverError as error:
    sys.exit(f"{error.exit_code.value}: {error}")
"""


class Night:
    """A night on a lab of its own, conducted by processes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._begun: list[subprocess.Popen[str]] = []

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Begins to conduct it."""
        environment = {**os.environ, "REHEARSAL_HOME": str(self.home)}
        command = [sys.executable, "-c", PROGRAM, *words]
        pipe = subprocess.PIPE
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, text=True
        )
        self._begun.append(process)
        return process

    def end(self) -> None:
        """Ends whatever still conducts it."""
        for process in self._begun:
            if process.poll() is None:
                process.kill()
                process.communicate()

    def conduct(self, *words: str) -> tuple[int, str, str]:
        """Conducts it to its end, or its stop."""
        process = self.begin(*words)
        out, err = process.communicate(timeout=240)
        return process.returncode, out, err

    @property
    def events(self) -> tuple[Event, ...]:
        """What the journal says."""
        return read_events(self.home / "state/rehearsal/2014-08-15/journal.jsonl")

    def kill_when(self, process: subprocess.Popen[str], moment: Callable[[tuple[Event, ...]], bool]) -> None:
        """Kills the process without warning as soon as the journal says so."""
        while not moment(self.events):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.communicate()

    def jobs(self, step: str) -> list[str]:
        """Every detached job of a step on any host, by its name without the run's."""
        return sorted(path.name.split(f".{step}.")[1] for path in self.home.glob(f"hosts/*/.cutover/jobs/*.{step}.*"))


@pytest.fixture(scope="module")
def night() -> Iterator[Night]:
    home = Path(tempfile.mkdtemp(prefix="night-"))
    lab.up(home)
    night = Night(home)
    yield night
    night.end()
    lab.down(home)
    shutil.rmtree(home, ignore_errors=True)


def begun(step: str, hosts: int) -> Callable[[tuple[Event, ...]], bool]:
    """When so many hosts of a step have their intent in the journal."""
    return lambda events: sum(1 for event in events if (event.kind, event.step) == (Kind.INTENT, step)) >= hosts


def test_a_night_is_stopped_killed_twice_and_resumed_to_its_end(night: Night) -> None:
    # Given a server on which the schedule can't be taken out, the night stops at step 4 and says where.
    program = night.home / "hosts/db-shard-2/bin/auto-backup"
    real = program.rename(program.with_name("auto-backup.real"))
    program.write_text(f'#!/bin/sh\n[ "$1" = off ] && exit 0\nexec {real} "$@"\n')
    program.chmod(0o755)
    code, out, err = night.conduct()
    assert code == 1
    assert "10: Step 4 of 16, Disable auto-backup, failed" in err
    assert "db-shard-2: failed: auto-backup is enabled, expected disabled" in err
    assert " 5/16" not in out
    assert "auto-backup: db-master, db-shard-1, db-shard-2" in out

    # When it is put right and the runner is killed in the middle of step 8, archiving goes on without it …
    real.rename(program)
    night.kill_when(night.begin("go-on"), begun("archiving.run", 1))
    # … and when the next one is killed in the middle of step 9,
    night.kill_when(night.begin("go-on"), begun("vacuum.full", 3))
    # the last one ends the night, attaching to what runs and beginning only what had not begun.
    code, out, err = night.conduct("go-on")
    assert (code, err) == (0, "")
    assert " 7/16" not in out
    assert "16/16 Data warehouse rebuild" in out
    assert "debt: none" in out
    assert night.jobs("archiving.run") == ["debug.1"]
    assert night.jobs("vacuum.full") == [f"{host}.1" for host in ("db-master", *(f"db-shard-{n}" for n in range(1, 5)))]
    assert owed(night.events) == ()
    assert {past.outcome for past in read_history(night.events).tasks.values()} == {Outcome.DONE}
