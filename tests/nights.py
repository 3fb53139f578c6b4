"""A night on a lab of its own, conducted by processes that may be killed, on hosts that count what is done to them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from inventory.load import ROOT
from rehearsal import lab
from rehearsal.files import write_json
from rehearsal.layout import VARIABLE, Layout
from rehearsal.ports import LOOPBACK
from rehearsal.waiting import await_condition
from runbooks.engine.model.debts import owed
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Event, Kind, read_events
from runbooks.engine.model.outcome import Outcome
from tests import relay
from tests.conductor import AT, GO_ON, STATE, moments
from tests.fakes import FakeNight, night_plan, rehearsal
from tests.relay import Relay

CONNECT_TIMEOUT = 3  # seconds
SECONDS = 240  # no night of a small lab takes that long
COMMANDS = {"backups.dump": "backup dump", "backups.transfer": "backup transfer"}  # so that these are jobs
# Of a whole night: 4 of ttmscalr, 2 of the watcher, 8 on each server, 1 archiving, 5 for the warehouse, 4 of own steps.
ACTS = 56
LOOKS = ("audit", "check-catalog", "estimate", "list", "log", "scope", "stragglers")  # of the archiver
PROBES = (" status", " stored", "ttmscalr size", " shards.show", *(f" archive.{task}" for task in LOOKS))

# Tells who did what, and waits while it is held up.
COUNTING = """#!/bin/sh
echo "{host}: {name} $*" >> {home}/acts
while [ -e "{home}/held/{host} {name} $1" ]; do sleep 0.02; done
exec {real} "$@"
"""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A machine that conducts a night: machines share nothing but the store and the hosts."""

    clone: Path  # of the repository
    home: Path  # HOME
    state: Path
    words: tuple[str, ...] = ()  # for the conductor

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of its own copy of the journal."""
        return read_events(self.state / "rehearsal/2014-08-15/journal.jsonl")


class Night:
    """A night of the lab in a folder."""

    def __init__(self, home: Path, relays: dict[str, Relay]) -> None:
        self.home = home
        self.relays = relays  # by host, for those whose SSH server can be stopped
        self.machine = Machine(clone=ROOT, home=Path.home(), state=home / STATE)
        self._begun: list[subprocess.Popen[str]] = []

    @property
    def kills(self) -> int:
        """The number of its processes that died by SIGKILL."""
        return [process.returncode for process in self._begun].count(-signal.SIGKILL)

    def another_machine(self, name: str) -> Machine:
        """A machine with a working copy of its own, which has seen nothing yet."""
        folder = self.home / name
        shutil.copytree(ROOT, folder / "clone", ignore=shutil.ignore_patterns(".*"))
        return Machine(clone=folder / "clone", home=folder, state=folder / STATE, words=(f"{AT}{name}",))

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """Start or resume it at a machine; or as the arguments say, which are the conductor's."""
        told = words or ((GO_ON,) if self.events else ())
        environment = {**os.environ, VARIABLE: str(self.home), "HOME": str(self.machine.home)}
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.conductor", *self.machine.words, *told],
            cwd=self.machine.clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._begun.append(process)
        return process

    def conduct(self, *words: str) -> tuple[int, str, str]:
        """Conduct it to its end, its stop or its death; return the exit code and the output."""
        return self.ended(self.begin(*words))

    def ended(self, process: subprocess.Popen[str]) -> tuple[int, str, str]:
        """Wait for the end of a process; return the exit code and the output."""
        out, err = process.communicate(timeout=SECONDS)
        return process.returncode, out, err

    def conduct_killed(self, moments: Iterable[str]) -> tuple[int, str, str]:
        """Conduct it by one process after the other, each of which dies at one of the moments but for the last."""
        self._moments.write_text("".join(f"{moment}\n" for moment in moments))
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            code, out, err = self.conduct(*((GO_ON,) if self.events else ()), str(self._moments))
        return code, out, err

    @property
    def spared(self) -> list[str]:
        """The moments at which no process died, because they did not come about."""
        return self._moments.read_text().splitlines()

    @property
    def events(self) -> tuple[Event, ...]:
        """The events of the journal."""
        return self.machine.events

    @contextmanager
    def held_up(self, host: str, program: str, word: str) -> Iterator[None]:
        """Let a program begin on a host, and not go on while the block runs."""
        flag = self.home / "held" / f"{host} {program} {word}"
        flag.touch()
        try:
            yield
        finally:
            flag.unlink()

    def await_act(self, host: str, act: str, process: subprocess.Popen[str]) -> None:
        """Wait until a program has begun on a host."""
        self._await(lambda: any(line.startswith(f"{host}: {act}") for line in self.acts), process)

    def await_result(self, host: str, step: str, process: subprocess.Popen[str]) -> None:
        """Wait until a step has ended on a host."""
        self._await(lambda: any(_is_result(event, step, host) for event in self.events), process)

    def await_intents(self, step: str, count: int, process: subprocess.Popen[str]) -> None:
        """Wait until a step was begun, or attached to, so many times."""
        self._await(
            lambda: [(each.kind, each.step) for each in self.events].count((Kind.INTENT, step)) == count, process
        )

    def kill(self, process: subprocess.Popen[str]) -> str:
        """Kill a process without warning, and return its output."""
        process.kill()
        return process.communicate()[0]

    def _await(self, happened: Callable[[], bool], process: subprocess.Popen[str]) -> None:
        def look() -> bool:
            assert process.poll() is None, process.communicate()
            return happened()

        await_condition(look, doing="Waiting for the night to come so far", seconds=SECONDS)

    @property
    def acts(self) -> list[str]:
        """Every act, as `host: program arguments`; probes are left out."""
        lines = (self.home / "acts").read_text().splitlines()
        return [line for line in lines if not any(probe in line for probe in PROBES)]

    def jobs(self, step: str) -> list[str]:
        """Every detached job of a step on any host, by its name without the run's."""
        return sorted(path.name.split(f".{step}.")[1] for path in self.home.glob(f"hosts/*/.cutover/jobs/*.{step}.*"))

    def faults(self) -> list[str]:
        """Return the faults of a night that has ended: something not done, still owed, or done twice."""
        past = read_history(self.events).tasks
        undone = [
            f"{step} on {host} is {each.outcome.value}"
            for (step, host), each in past.items()
            if each.outcome is not Outcome.DONE
        ]
        twice = [f"{act}: {count} times" for act, count in Counter(self.acts).items() if count > 1]
        few = [f"{len(self.acts)} acts, expected {ACTS}"] if len(set(self.acts)) != ACTS else []
        return [*undone, *(f"owed: {debt}" for debt in owed(self.events)), *twice, *few]

    def end(self) -> None:
        """End whatever still conducts it."""
        for process in self._begun:
            if process.poll() is None:
                self.kill(process)

    @property
    def _moments(self) -> Path:
        return self.home / "moments"


@contextmanager
def started(*stoppable: str, schools: int = lab.FEWEST_SCHOOLS) -> Iterator[Night]:
    """A lab for a night, while the block runs; the SSH servers of some hosts can be stopped."""
    home = Path(tempfile.mkdtemp(prefix="night-"))
    with ExitStack() as cleanup:
        cleanup.callback(shutil.rmtree, home, ignore_errors=True)
        lab.up(home, schools=schools)
        cleanup.callback(lab.down, home)
        ports = {host: each.port for host, each in lab.known_endpoints(home).hosts.items()}
        relays = {host: cleanup.enter_context(relay.before(ports[host])) for host in stoppable}
        _lay_over(Layout(home), relays, ports)
        _count_acts(home)
        night = Night(home, relays)
        cleanup.callback(night.end)
        yield night


def _is_result(event: Event, step: str, host: str) -> bool:
    return (event.kind, event.step, event.host) == (Kind.RESULT, step, host)


def all_moments() -> list[str]:
    """Before and after every event of such a night, in their order."""
    environment = rehearsal()
    fake_night = FakeNight(plan=night_plan(replace(environment, commands={**environment.commands, **COMMANDS})))
    fake_night.run()
    return moments(fake_night.journal.events)


def _lay_over(layout: Layout, relays: Mapping[str, Relay], ports: Mapping[str, int]) -> None:
    """Make jobs of backups, and lead the way to some hosts over their relays."""
    over = json.loads(layout.endpoints.read_text())
    over["commands"] = COMMANDS
    over["ssh"]["connect_timeout"] = CONNECT_TIMEOUT
    known = Path(over["ssh"]["known_hosts"])
    lines = dict(line.split(" ", 1) for line in known.read_text().splitlines())
    for host, each in relays.items():
        over["hosts"][host]["port"] = each.port
        lines[f"[{LOOPBACK}]:{each.port}"] = lines[f"[{LOOPBACK}]:{ports[host]}"]
    known.write_text("".join(f"{name} {key}\n" for name, key in lines.items()))
    write_json(layout.endpoints, over)


def _count_acts(home: Path) -> None:
    """Wrap each program of every host by one that records its calls."""
    (home / "held").mkdir()
    (home / "acts").touch()
    for folder in home.glob("hosts/*/bin"):
        host = folder.parent.name
        found = {path.name: path.rename(path.with_name(f"{path.name}.real")) for path in list(folder.iterdir())}
        for name, real in found.items():
            program = folder / name
            program.write_text(COUNTING.format(host=host, name=name, home=home, real=real))
            program.chmod(0o755)
