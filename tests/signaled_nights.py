"""`python -m tests.signaled_nights HOME`: a night as a process that a test sends signals to, and starts again.

Production, clock and object store outlive the process, in files under HOME.
"""

from __future__ import annotations

import os
import pickle
import random
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from dataclasses import fields
from datetime import timedelta
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.program import Program

from inventory.load import ROOT
from rehearsal.waiting import await_condition
from runbooks.cli.task import task
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.debts import owed
from runbooks.engine.model.journal import Event, Kind, read_events
from runbooks.engine.model.ports import Choice
from runbooks.night import earlier_nights, files
from tests.fakes import FakeNight, Production
from tests.operated_night import operated_night

JOURNAL = "rehearsal/2014-08-15/journal.jsonl"
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGSTOP)
STOPPED_BY = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)  # after these the journal says that it stopped
ACT_SECONDS = 0.02  # of real time, so that a signal may come within an act
NOT_KEPT = ("clock", "broken", "scope", "inventory")


class FolderStore:
    """An object store in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put_new(self, name: str, text: str) -> bool:
        path = self._folder / name.replace("/", "\x1f")
        own = path.with_name(f"{uuid.uuid4()} being written")
        own.write_text(text)
        with suppress(FileExistsError):
            os.link(own, path)
        return path.read_text() == text

    def get(self, name: str) -> str | None:
        path = self._folder / name.replace("/", "\x1f")
        return path.read_text() if path.exists() else None

    def names(self, start: str) -> list[str]:
        names = (path.name.replace("\x1f", "/") for path in self._folder.iterdir())
        return sorted(name for name in names if name.startswith(start))


def kept_in(path: Path, fake_night: FakeNight) -> None:
    """Go on with the production of the process before, and keep it after each act."""
    production, act = fake_night.production, fake_night.production.do
    if path.exists():
        passed, values, ended = pickle.loads(path.read_bytes())
        fake_night.clock.wait(passed)
        fake_night.jobs.ended.update(ended)
        for name, value in values.items():
            setattr(production, name, value)

    def keep() -> None:
        values = {each.name: getattr(production, each.name) for each in fields(Production) if each.name not in NOT_KEPT}
        passed = timedelta(seconds=fake_night.clock.ticks())
        path.with_suffix(".new").write_bytes(pickle.dumps((passed, values, fake_night.jobs.ended)))
        path.with_suffix(".new").rename(path)

    def do(host: str, command: str) -> ProbeOutput:
        before = len(production.acts)
        output = act(host, command)
        if len(production.acts) > before:
            time.sleep(ACT_SECONDS)
            keep()
        return output

    production.do = do  # type: ignore[method-assign]


@task("conduct")
def conduct() -> None:
    """Run the night, or what is left of it."""
    home = Path(sys.argv[1])
    patch, object_store = pytest.MonkeyPatch(), FolderStore(home / "store")
    operated = operated_night(patch, home)
    for place in (files, earlier_nights):
        patch.setattr(place, "object_store_of", lambda environment: object_store)
    kept_in(home / "production", operated.fake_night)
    operated.fake_night.person.choose = lambda *question: Choice.RETRY  # type: ignore[method-assign]
    begun = read_events(home / JOURNAL)
    operated.resume() if begun else operated.run()


def faults(home: Path, seed: int) -> list[str]:
    """Send signals to processes of one night until it is done; return what was wrong, in sentences."""
    dice, wrong = random.Random(seed), list[str]()
    (home / "store").mkdir(parents=True)
    for _ in range(40):
        number, after = dice.choice(SIGNALS), dice.randrange(1, 60)
        before = len(_events(home))
        sent, code = _signaled(home, number, before + after)
        last, kinds = _events(home)[-1:], {event.kind for event in _events(home)[before:]}
        # The result of an act that was under way may come after it.
        if sent and number in STOPPED_BY and code != 0 and kinds.isdisjoint((Kind.STOPPED, Kind.ENDED)):
            wrong.append(f"after {number.name} these were written: {', '.join(kind.value for kind in kinds)}")
        if last and last[0].kind is Kind.ENDED:
            break
    else:
        wrong.append("never done")
    acts = pickle.loads((home / "production").read_bytes())[1]["acts"]
    wrong += [f"owed at the end: {debt}" for debt in owed(_events(home))]
    archived = [act for act in acts if "archive.all" in act]
    wrong += [f"archived {len(archived)} times"] * (len(archived) != 1)
    return [f"seed {seed}: {each}" for each in wrong]


def _signaled(home: Path, number: signal.Signals, at: int) -> tuple[bool, int]:
    """Run one process, signaled once the journal has so many events; return whether it was, and its exit code."""
    with (home / "out").open("ab") as out:
        words = [sys.executable, "-m", __name__, str(home)]
        process = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    sent = False
    try:
        await_condition(
            lambda: process.poll() is not None or len(_events(home)) >= at, doing="Running the night", seconds=60
        )
        sent = process.poll() is None
        if sent:
            process.send_signal(number)
            if number is signal.SIGSTOP:
                process.send_signal(signal.SIGCONT)
        return sent, process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()


def _events(home: Path) -> tuple[Event, ...]:
    return read_events(home / JOURNAL)


if __name__ == "__main__":
    Program(namespace=Collection(conduct)).run(["inv", "conduct"])
