"""Ctrl-C on a night, as a process: running hosts become unknown, waiting ones stay pending, and twice exits at once."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from inventory.load import ROOT
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Kind, read_events
from runbooks.engine.model.outcome import Outcome

# In step 9 two hosts are at work, and three wait. One of the two can be let go of, the other never answers.
PATIENCE = 60  # seconds for a process that is to say something
PROGRAM = """
import sys, threading
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from invoke.collection import Collection
from invoke.program import Program
from runbooks.night import run as night
from runbooks.engine.live.clock import Interrupted
from runbooks.engine.live.console import Console
from runbooks.engine.live.interrupt import second_interrupt_exits
from runbooks.engine.model.journal import FileJournal, Kind
from runbooks.engine.run.runner import Runner
from runbooks.cli.task import task
from tests.fakes import FakeClock, FakeJobs, FakeNight

class Clock(FakeClock):
    over = threading.Event()
    def wait(self, pause):
        super().wait(pause)
        if self.over.is_set():
            raise Interrupted("Interrupted.")
    def interrupt(self):
        self.over.set()

class Jobs(FakeJobs):
    def run(self, job, name, on_line):
        if "databases.vacuum" not in job.command:
            return super().run(job, name, on_line)
        # In one piece: two hosts say it at once, and print() writes word by word.
        sys.stdout.write(f"at work on {job.host}\\n")
        sys.stdout.flush()
        if job.host == "db-master":
            Clock.over.wait()
            raise Interrupted("Interrupted.")
        threading.Event().wait()

class SlowStore(FileJournal):
    def _keep(self, event):
        if event.kind is Kind.STOPPED and "slow" in sys.argv:
            print("the store hangs", flush=True)
            while True:  # and something in it takes every exception for a hiccup
                with suppress(KeyboardInterrupt):
                    threading.Event().wait()
        super()._keep(event)

@task("conduct")
def conduct():
    fake_night = FakeNight(clock=Clock())
    fake_night.jobs = Jobs(fake_night.production)
    journal = SlowStore(Path(sys.argv[1]), now=fake_night.clock.now, operator="chris@laptop")
    console = Console(clock=fake_night.clock)
    run_context = replace(fake_night.context, journal=journal, screen=console, max_parallel=2)
    run_context.begin()
    with second_interrupt_exits():
        night.conduct(run_context, console, Runner.run)

Program(namespace=Collection(conduct)).run(["inv", "conduct"])
"""


class Conducted:
    """A process that conducts the night, and the lines that it says."""

    def __init__(self, journal: Path, *words: str) -> None:
        self.journal = journal
        self._process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(journal), *words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def await_lines(self, *wanted: str) -> None:
        """Read on until all of them were printed, in any order."""
        missing, heard = set(wanted), list[str]()
        assert self._process.stdout
        patience = threading.Timer(PATIENCE, self._process.kill)
        patience.start()
        while missing:
            heard.append(self._process.stdout.readline())
            assert heard[-1], f"{missing} not heard: {heard}"
            missing.discard(heard[-1].strip())
        patience.cancel()

    def interrupt(self) -> None:
        """Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def ended(self) -> tuple[int, str]:
        """Return the exit code and the last output; within 2 seconds, and some for a machine that is busy."""
        out, err = self._process.communicate(timeout=8)
        return self._process.returncode, out + err

    def end(self) -> None:
        """End it, should it still be there."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
def begun(request: pytest.FixtureRequest, journal: Path) -> Iterator[Conducted]:
    night = Conducted(journal, *getattr(request, "param", ()))
    night.await_lines("at work on db-master", "at work on db-shard-1")
    yield night
    night.end()


def test_ctrl_c_leaves_the_running_hosts_unknown_and_the_waiting_ones_pending(begun: Conducted) -> None:
    begun.interrupt()
    code, said = begun.ended()

    assert code == 130
    assert "Still off, or not verified to be back on:" in said
    assert "What was started keeps running on db-master, db-shard-1" in said
    assert "standby: db-master, db-shard-1, db-shard-2, db-shard-3, db-shard-4" in said
    events = read_events(begun.journal)
    assert events[-1].data == {"reason": "interrupted", "code": 130}
    history = read_history(events)
    outcomes = [history.task_state("vacuum.full", host).outcome for host in ("db-master", "db-shard-1", "db-shard-2")]
    assert outcomes == [Outcome.UNKNOWN, Outcome.RUNNING, Outcome.PENDING]
    intents = {event.host for event in events if (event.kind, event.step) == (Kind.INTENT, "vacuum.full")}
    assert intents == {"db-master", "db-shard-1"}


@pytest.mark.parametrize("begun", [("slow",)], indirect=True)
def test_ctrl_c_twice_exits_whatever_hangs(begun: Conducted) -> None:
    begun.interrupt()
    begun.await_lines("the store hangs")
    begun.interrupt()
    assert begun.ended()[0] == 130
