"""A laptop is gone in the middle of the night; a colleague on another machine goes on, and the laptop wakes again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from errors import ExitCode
from inventory.load import ROOT
from rehearsal import lab
from runbooks.engine.debts import owed
from runbooks.engine.history import read_history
from runbooks.engine.journal import Event, Kind, read_events
from runbooks.engine.step import Outcome

# Each machine has a name, a home and a working copy of its own, and nothing but the store in common.
PROGRAM = """
import socket, sys
from dataclasses import replace
from datetime import date
socket.gethostname = lambda: sys.argv[1]
from errors import CutoverError
from inventory.load import load
from runbooks.cutover import rehearse
try:
    environment = replace(load("rehearsal"), state=sys.argv[2])
    rehearse(environment, date(2014, 8, 15), go_on="go-on" in sys.argv, take_over="take-over" in sys.argv)
except CutoverError as error:
    sys.exit(f"{error.exit_code.value}: {error}\\n{error.hint}")
"""


class Machine:
    """A machine with a clone of the repository."""

    def __init__(self, name: str, folder: Path, lab_home: Path) -> None:
        self.name, self.clone, self.home, self.lab = name, folder / "clone", folder / "home", lab_home
        self.home.mkdir(parents=True)
        rooms = shutil.ignore_patterns(".*", "__pycache__")
        shutil.copytree(ROOT, self.clone, ignore=rooms)

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Begins to conduct the night."""
        environment = {**os.environ, "HOME": str(self.home), "REHEARSAL_HOME": str(self.lab)}
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, self.name, str(self.clone / "state"), *words],
            cwd=self.clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def conduct(self, *words: str) -> tuple[int, str, str]:
        """Conducts it to its end: how it ended, and what was said."""
        process = self.begin(*words)
        out, err = process.communicate()
        return process.returncode, out, err

    @property
    def events(self) -> tuple[Event, ...]:
        """What its own copy of the journal says."""
        return read_events(self.clone / "state/rehearsal/2014-08-15/journal.jsonl")

    def wait_for(self, process: subprocess.Popen[str], step: str) -> None:
        """Waits until a step was begun."""
        while not any((event.kind, event.step) == (Kind.INTENT, step) for event in self.events):
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)


@pytest.fixture
def machines() -> Iterator[tuple[Machine, Machine]]:
    """Two machines, and a small lab that both reach."""
    folder = Path(tempfile.mkdtemp(prefix="machines-"))
    lab.up(folder / "lab", schools=lab.FEWEST_SCHOOLS)
    yield Machine("laptop", folder / "laptop", folder / "lab"), Machine("desk", folder / "desk", folder / "lab")
    lab.down(folder / "lab")
    shutil.rmtree(folder)


def test_a_colleague_takes_over_in_step_8_and_the_laptop_that_wakes_again_stops(
    machines: tuple[Machine, Machine],
) -> None:
    laptop, desk = machines
    asleep = laptop.begin()
    laptop.wait_for(asleep, "archiving.run")
    asleep.send_signal(signal.SIGSTOP)

    # Nobody goes on with it by mistake, nor begins it anew …
    for words in (("go-on",), ()):
        _, _, said = desk.conduct(*words)
        assert said.startswith(f"{ExitCode.LOCKED.value}: Another run is at work in this environment: ")
        assert "on laptop, running Cutover of 2014-08-15 in rehearsal" in said
        assert "inv cutover.resume --date=2014-08-15 --env=rehearsal --take-over" in said
    assert not desk.events

    # … but a colleague who means it does, with all that the laptop had seen.
    code, out, err = desk.conduct("go-on", "take-over")
    assert (code, err) == (0, "")
    assert "Taken over from" in out
    assert "debt: none" in out
    assert desk.events[: len(laptop.events)] == laptop.events
    assert {past.outcome for past in read_history(desk.events).tasks.values()} == {Outcome.DONE}
    assert owed(desk.events) == ()

    # The laptop wakes: what it was waiting for is over, and its next word is refused.
    before = desk.events
    asleep.send_signal(signal.SIGCONT)
    _, said = asleep.communicate()
    assert said.startswith(f"{ExitCode.LOCKED.value}: This run was taken over: ")
    assert "@desk since" in said
    assert (asleep.returncode, laptop.events[-1].step) == (1, "archiving.run")
    assert desk.conduct("go-on")[0] == 0
    assert [event.kind for event in desk.events[len(before) :]] == [Kind.RESUMED, Kind.ENDED]
    folder = laptop.lab / "hosts/debug/.cutover/jobs"
    assert len(list(folder.glob("*archiving.run*"))) == 1
