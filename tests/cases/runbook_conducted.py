"""`python -m tests.cases.runbook_conducted HOME [PORT]`: a night that waits at its first prompt, as a process.

With a port the prompt is answered, and from then on the store is a server there.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.program import Program

from inventory.load import ROOT
from inventory.model import Store
from rehearsal.ports import LOOPBACK
from runbooks.cli.object_store import EnvironmentStore
from runbooks.cli.task import task
from runbooks.engine.model.ports import Choice
from runbooks.engine.model.step import HostTask, Step
from runbooks.night import earlier_nights, files
from tests.fakes import FakeObjectStore, FakePerson
from tests.operated_night import operated_night

ASKED, HANGS = "the prompt is shown", "the store hangs"
PATIENCE = 60  # seconds for a process that is to say something


class Conducted:
    """Such a process."""

    def __init__(self, home: Path, *words: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(home), *words],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def await_line(self, wanted: str) -> None:
        """Read on until this line was printed."""
        heard = list[str]()
        patience = threading.Timer(PATIENCE, self._process.kill)
        patience.start()
        assert self._process.stdout
        while wanted not in heard:
            heard.append(self._process.stdout.readline().strip())
            assert heard[-1] or self._process.poll() is None, heard
        patience.cancel()

    def ended_by(self, number: signal.Signals, seconds: float = PATIENCE) -> bool:
        """True if it ends so soon after a signal."""
        self._process.send_signal(number)
        try:
            self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def end(self) -> None:
        """End it, should it still be there."""
        self._process.kill()
        self._process.communicate()


@contextmanager
def conducted(home: Path, *words: str) -> Iterator[Conducted]:
    """Such a process while the block runs."""
    process = Conducted(home, *words)
    try:
        yield process
    finally:
        process.end()


class Moving(FakeObjectStore):
    """An object store in memory, until it is a real one."""

    store: EnvironmentStore | None = None

    def put_new(self, name: str, text: str) -> bool:
        if self.store is None:
            return super().put_new(name, text)
        print(HANGS, flush=True)  # noqa: T201 - to the test
        return self.store.put_new(name, text)


class Waiting(FakePerson):
    """A person who never answers the prompt, or answers it once the store is another."""

    object_store: Moving
    store: EnvironmentStore | None = None

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        print(ASKED, flush=True)  # noqa: T201 - to the test
        if self.store is None:
            threading.Event().wait()
        self.object_store.store = self.store
        return Choice.DONE


@task("conduct")
def conduct() -> None:
    """Run the night."""
    home, *port = sys.argv[1:]
    patch, object_store = pytest.MonkeyPatch(), Moving()
    operated = operated_night(patch, Path(home))
    patch.setattr(files, "object_store_of", lambda environment: object_store)
    patch.setattr(earlier_nights, "object_store_of", lambda environment: object_store)
    person = Waiting(operated.fake_night.ssh)
    person.object_store = object_store
    if port:
        endpoint, credentials = f"http://{LOOPBACK}:{port[0]}", Path(home) / "credentials"
        credentials.write_text("[default]\naws_access_key_id = key\naws_secret_access_key = a secret of the tests\n")
        person.store = EnvironmentStore(Store(bucket="b", prefix="p", endpoint=endpoint, credentials=str(credentials)))
    operated.fake_night.person = person
    operated.run()


if __name__ == "__main__":
    Program(namespace=Collection(conduct)).run(["inv", "conduct"])
