"""Apangea's production in memory: the same ports, and a world behind them that takes no time."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from functools import cache, partial
from typing import TypeVar

from errors import CutoverError
from inventory.figures import Figures, LeftOut, Share
from inventory.model import Environment
from inventory.scope import Scope, inventory_digests, scope_of
from runbooks.cutover import plan_of
from runbooks.engine.live.approval import StoreApprovals
from runbooks.engine.live.executors import LiveExecutor
from runbooks.engine.model.actions import (
    AmazonCall,
    AmazonLook,
    DetachedJob,
    DnsLookup,
    HttpGet,
    InstanceSize,
    MoveNames,
    ProbeOutput,
    RemoteCommand,
    ResizeInstance,
    SnapshotList,
    SqlQuery,
    TakeSnapshots,
)
from runbooks.engine.model.forecast import Forecast
from runbooks.engine.model.journal import Event, Journal
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Amazon, Choice, Dns, JobState
from runbooks.engine.model.step import Debt, HostTask, Step
from runbooks.engine.run.context import RunContext
from runbooks.engine.run.runner import Runner
from runbooks.steps.context import NightContext
from tests import worlds

T = TypeVar("T")
NIGHT, NIGHT_2013 = date(2014, 8, 15), date(2013, 8, 16)
EVENING = datetime(2014, 8, 15, 21, 0, tzinfo=UTC)
SERVERS = {"db-master": "master", **{f"db-shard-{number}": f"shard_{number}" for number in range(1, 5)}}
# Step 9 on each server.
VACUUM = {host: f"inv databases.vacuum --env=rehearsal --database={database}" for host, database in SERVERS.items()}
# What a server that is in order answers to preflight.
QUIET: dict[str, tuple[tuple[object, ...], ...]] = {
    "system identifier, recovery, version": ((7001, False, 180_001),),
    "membership in pg_monitor": (("archiver", True),),
    "inactive replication slots": (),
    "synchronous standbys": (("", 0),),
    "track_counts": (("on",),),
    "prepared transactions": (),
    "open transactions": ((True, None, None, None, None),),
}

FIGURES = Figures(  # as the debug host counts them
    counted_at=EVENING,
    noun="school",
    tenants=35,
    archived=0,
    rows=12_345,
    bytes=8_900_000,
    seconds=720.0,
    shards=(
        Share(name="shard_1", tenants=20, rows=8_000, bytes=5_900_000),
        Share(name="shard_2", tenants=15, rows=4_345, bytes=3_000_000),
    ),
    customers=(
        Share(name="Northfield ISD (7)", tenants=23, rows=9_000, bytes=6_000_000),
        Share(name="Newtown (3)", tenants=12, rows=3_345, bytes=2_900_000),
    ),
    biggest=(Share(name="Lincoln Middle (13)", tenants=1, rows=1_204, bytes=800_000),),
    left_out=(LeftOut(name="Summer School (21)", tenants=1, reason=""),),
)


def rehearsal() -> Environment:
    """The rehearsal's inventory without its team's own steps and deferrals, whether one is up or not."""
    environment = rehearsal_with_own_steps()
    nights = {day: replace(night, defer={}) for day, night in environment.nights.items()}
    return replace(environment, own_steps={}, nights=nights)


def rehearsal_with_own_steps() -> Environment:
    """The rehearsal's inventory as it is, whether one is up or not."""
    return worlds.inventory()


def rehearsal_night() -> NightContext:
    """The rehearsal's inventory on a night, which has what a night needs."""
    return NightContext(environment=rehearsal(), date=NIGHT)


def night_plan(environment: Environment | None = None) -> Plan:
    """The sixteen steps of the rehearsal, or of another environment."""
    return plan_of(environment, NIGHT) if environment else _plan_of_the_rehearsal()


@cache
def _plan_of_the_rehearsal() -> Plan:
    return plan_of(rehearsal(), NIGHT)


def inventory_of(plan: Plan) -> dict[str, str]:
    """Return the digests of the inventory that a plan was made from, whose window it has."""
    window = plan.window_end
    environment = getattr(window.func, "__self__", None) if isinstance(window, partial) else None
    return inventory_digests(environment) if isinstance(environment, Environment) else {}


def plan_of_2013() -> Plan:
    """The twelve steps of the year before."""
    return plan_of(rehearsal(), NIGHT_2013, "2013")


def archive_command(environment: Environment | None = None, night: date = NIGHT) -> str:
    """Return the command that step 8 sends to the debug host."""
    environment = environment or rehearsal()
    scope = scope_of(environment, environment.night(night)).text
    return f"inv archive.all --env={environment.name} --date={night} --here --scope={scope}"


class FakeClock:
    """Time passes only while code waits; at a pace, so that a night may last for hours."""

    def __init__(self, pace: int = 1) -> None:
        self._pace = pace
        self._passed = timedelta()
        self._guard = threading.Lock()

    def now(self) -> datetime:
        return EVENING + self._passed

    def ticks(self) -> float:
        return self._passed.total_seconds()

    def wait(self, pause: timedelta) -> None:
        with self._guard:
            self._passed += pause * self._pace

    def interrupt(self) -> None:
        """Do nothing: no thread is really waiting."""


@dataclass
class Production:
    """The state of production: each command changes it as the real one would."""

    clock: FakeClock
    maintenance: bool = False
    watcher: bool = True
    etl: dict[str, bool] = field(default_factory=lambda: {"warehouse-old": True, "warehouse-new": False})
    schedule: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(SERVERS, True))
    backup: dict[str, datetime] = field(default_factory=dict)
    stored: set[str] = field(default_factory=set)
    standby: dict[str, bool] = field(default_factory=lambda: dict.fromkeys(SERVERS, True))
    archived: bool = False
    half_way: dict[int, str] = field(default_factory=dict)  # school: deleting, or restoring
    vacuumed: dict[str, datetime] = field(default_factory=dict)
    snapshot: dict[str, datetime] = field(default_factory=dict)
    names: dict[str, str] = field(
        default_factory=lambda: {
            "warehouse-old.farm.ttm.com": "10.0.0.1",
            "warehouse-new.farm.ttm.com": "10.0.0.2",
            "warehouse.ttm.com": "10.0.0.1",
        }
    )
    rebuilt: datetime | None = None
    feed: int = 132  # rows
    farm: dict[str, str] = field(  # of 2013: the old warehouse, and what the app is told of and was started with
        default_factory=lambda: {
            "apps:name": "warehouse-old",
            "ps:count": "1",
            "size": "large",
            "config:get": "postgres://me:hunter2@warehouse-old.farm.ttm.com/w",
            "ps:running": "postgres://me:hunter2@warehouse-old.farm.ttm.com/w",
        }
    )
    stragglers: dict[str, object] = field(default_factory=lambda: {"since": None, "schools": {}, "rows": 0})
    linked: bool = True  # the warehouse to the main database, by a team's own step
    features: dict[str, str] = field(
        default_factory=lambda: {"auto-enroll-pathways": "deployed", "time-spent-doing-math": "reverted"}
    )
    scope: Scope | None = None  # of every checkout of this tool; None: as the run's own
    inventory: dict[str, str] = field(default_factory=dict)  # digests, of every checkout
    schools: dict[str, object] = field(  # as the debug host finds them
        default_factory=lambda: {"taken": 35, "excluded": [21], "schools": "5c4001ed", "problems": ()}
    )
    figures: Figures = FIGURES
    typed_for: str = ""  # the schools that step 8 was sent for
    acts: list[str] = field(default_factory=list)  # every act that took effect: `host: command`
    broken: dict[str, Callable[[], ProbeOutput]] = field(default_factory=dict)  # `host: command` that goes wrong
    answers: dict[str, tuple[tuple[object, ...], ...]] = field(default_factory=dict)  # `database: query`, to change it

    def do(self, host: str, command: str) -> ProbeOutput:
        """A command on a host: a probe, or an act, which takes a second."""
        command, _, typed_for = command.partition(" --schools=")
        self.typed_for = typed_for or self.typed_for
        spoilt = self.broken.get(f"{host}: {command}")
        if spoilt:
            return spoilt()
        probe = self._probe(host, command)
        if probe is not None:
            return ProbeOutput(text=f"{probe}\n")
        self._act(host, command)
        self.acts.append(f"{host}: {command}")
        self.clock.wait(timedelta(seconds=1))
        return ProbeOutput()

    def _probe(self, host: str, command: str) -> str | None:
        if command.startswith("inv ") and not command.startswith("inv databases.vacuum"):
            return self._tool(command)
        if command.split()[1] in self.farm:
            return self._farm(command.split()[1])
        probes: dict[str, Callable[[], str]] = {
            "cat ~/.inventory-host": lambda: host,
            "date -u +%s": lambda: str(int(self.clock.now().timestamp())),
            "system-watcher status": lambda: "running" if self.watcher else "stopped",
            "etl status": lambda: "enabled" if self.etl[host] else "disabled",
            "auto-backup status": lambda: "enabled" if self.schedule[host] else "disabled",
            "backup status": lambda: self._backup(host),
            "backup stored": lambda: json.dumps({"location": "s3://b", "sha256": host} if host in self.stored else {}),
            "snapshot status": lambda: self._snapshot(host),
            "warehouse-link status": lambda: "linked" if self.linked else "unlinked",
            "warehouse status": lambda: json.dumps({"state": "finished", "finished_at": _stamp(self.rebuilt)}),
        }
        if command.startswith("release status "):
            return self.features[command.split()[2]]
        return probes[command]() if command in probes else None

    def _act(self, host: str, command: str) -> None:
        program, word, *rest = command.split()
        if command.startswith("ttmscalr maintenance:"):
            self.maintenance = word.endswith(":on")
        elif command.startswith("ttmscalr shutdown:sidekiq"):
            self.etl.update({farm: False for farm in self.etl if f"-f {farm}" in command})
        elif program == "system-watcher":
            self.watcher = word == "start"
        elif program == "auto-backup":
            self.schedule[host] = word == "on"
        elif program == "standby":
            self.standby[host] = word == "activate"
        elif program in ("warehouse-link", "release"):
            self._act_of_own_step(word, rest)
        elif program == "etl":
            self.etl[host] = word == "on"
        elif program == "heroku":
            self._hand_over(host, word, rest)
        elif program == "dns-upsert":
            self.names[word] = self.names[f"{rest[0]}.farm.ttm.com"]
        else:
            self._stamp_act(host, f"{program} {word}")

    def _act_of_own_step(self, word: str, rest: list[str]) -> None:
        if rest:
            self.features[rest[0]] = {"deploy": "deployed", "revert": "reverted"}[word]
        else:
            self.linked = word == "on"

    def _farm(self, word: str) -> str:
        url = {"url": self.farm[word], "started_at": _stamp(self.clock.now())}
        return json.dumps(url) if word == "ps:running" else self.farm[word]

    def _hand_over(self, host: str, word: str, rest: list[str]) -> None:
        if word == "apps:rename":
            self.farm["apps:name"] = rest[0]
        elif word == "ps:scale":
            self.farm["ps:count"], self.etl[host] = rest[0].removeprefix("etl_job="), False
        elif word == "config:set":
            self.farm["config:get"] = rest[0].removeprefix("WAREHOUSE_URL=")
        else:
            self.farm["ps:running"] = self.farm["config:get"]

    def _stamp_act(self, host: str, what: str) -> None:
        self.clock.wait(timedelta(seconds=1))
        stamps = {"backup dump": self.backup, "snapshot create": self.snapshot, "inv databases.vacuum": self.vacuumed}
        if what in stamps:
            stamps[what][host] = self.clock.now()
        elif what == "backup transfer":
            self.stored.add(host)
        elif what == "inv archive.all":
            self.archived = True
        elif what == "warehouse rebuild":
            self.rebuilt = self.clock.now()
        elif what == "inv databases.truncate-feeds":
            self.feed = 0
        elif what == "ttmscalr resize:small":
            self.farm["size"] = "small"
        else:
            raise AssertionError(f"unknown command: {what}")

    def _tool(self, command: str) -> str | None:
        task = command.split()[1]
        answers: dict[str, Callable[[], str]] = {
            "archive.audit": self._audit,
            "archive.scope": self._scope,
            "archive.list": lambda: self._half_way(command),
            "shards.show": lambda: "No school is half moved.",
            "archive.check-catalog": lambda: "The catalog knows all that can point at a school's rows.",
            "archive.stragglers": lambda: json.dumps(self.stragglers),
            "archive.log": lambda: "213 entries of the log: none changed, removed or put in.",
            "archive.estimate": lambda: json.dumps({"together": 3600.0}),
            "databases.truncate-feeds": self._feeds,
        }
        looks = task in answers and ("truncate" not in task or "--dry-run" in command)
        return answers[task]() if looks else None

    def _feeds(self) -> str:
        return json.dumps({"rows": self.feed, "feeds": [{"table": "feed_items", "rows": self.feed}]})

    def _scope(self) -> str:
        assert self.scope, "no run has begun"
        counted = {"figures": self.figures.to_json()}
        return json.dumps({"scope": self.scope.text, "inventory": self.inventory, **self.schools, **counted})

    def _half_way(self, command: str) -> str:
        states = [(school, state) for school, state in self.half_way.items() if f"--state={state}" in command]
        return "\n".join(json.dumps({"tenant_id": school, "state": state}) for school, state in states)

    def _audit(self) -> str:
        done, missing = (35, []) if self.archived else (0, list(range(1, 36)))
        audit = {"selected": 35, "archived": done, "excluded": 1, "unarchived": missing, "left": {}}
        return json.dumps({**audit, "rows": 12345, "size": 678900})

    def _backup(self, host: str) -> str:
        if host not in self.backup:
            return "{}"
        stamp = _stamp(self.backup[host])
        return json.dumps({"path": "/var/backups/1", "sha256": host, "finished_at": stamp, "verified": True})

    def _snapshot(self, host: str) -> str:
        if host not in self.snapshot:
            return "{}"
        return json.dumps({"id": f"snap-{host}", "state": "completed", "finished_at": _stamp(self.snapshot[host])})


@dataclass
class FakeSsh:
    production: Production

    def run(self, command: RemoteCommand) -> ProbeOutput:
        return self.production.do(command.host, command.command)

    def close(self) -> None:
        """Do nothing: no connection is open."""


@dataclass
class FakeJobs:
    """Jobs that attach to the one of the same name."""

    production: Production
    ended: dict[str, ProbeOutput] = field(default_factory=dict)
    at_work: set[str] = field(default_factory=set)  # hosts with a job that no run follows
    stubborn: set[str] = field(default_factory=set)  # hosts whose job can't be stopped
    stopped: list[str] = field(default_factory=list)

    def run(self, job: DetachedJob, name: str, on_line: Callable[[str], None]) -> ProbeOutput:
        on_line("working")
        if name not in self.ended:
            self.ended[name] = self.production.do(job.host, job.command)
        return self.ended[name]

    def look(self, host: str, name: str) -> JobState:
        if host in self.at_work:
            return JobState(state="running", pid=4711, line="42 of 100")
        return JobState(state="exited", code=self.ended[name].code) if name in self.ended else JobState(state="absent")

    def stop(self, host: str, name: str) -> JobState:
        self.stopped.append(name)
        if host not in self.stubborn:
            self.at_work.discard(host)
        return JobState(state="running" if host in self.at_work else "lost", pid=4711)


@dataclass
class FakeSql:
    production: Production

    def query(self, query: SqlQuery) -> ProbeOutput:
        host = next(host for host, database in SERVERS.items() if database == query.database)
        rows = self.production.answers.get(f"{query.database}: {query.name}")
        if rows is not None:
            return ProbeOutput(rows=rows)
        if query.name in QUIET:
            return ProbeOutput(rows=QUIET[query.name])
        analysed = self.production.vacuumed.get(host)
        size = 96_000_000 if analysed else 812_000_000
        if query.name == "pg_stat_replication":
            row = (f"{host}-standby", "10.0.0.9", "streaming", 0)
            return ProbeOutput(rows=(row,) if self.production.standby[host] else ())
        if query.name == "standbys before":
            return ProbeOutput(rows=((json.dumps([f"{host}-standby"] * self.production.standby[host]), ""),))
        return ProbeOutput(rows=((size,),) if query.name == "size" else ((size, "public.users", analysed),))


@dataclass
class FakeHttp:
    production: Production

    def get(self, request: HttpGet) -> ProbeOutput:
        on = self.production.maintenance
        return ProbeOutput(code=503, text="Service Unavailable") if on else ProbeOutput(code=200, text="OK")


@dataclass
class FakeDns:
    production: Production

    def look_up(self, lookup: DnsLookup) -> ProbeOutput:
        names = self.production.names
        return ProbeOutput(rows=tuple((name, names[name]) for name in lookup.names if name in names))


@dataclass
class MemoryAmazon:
    """EC2 and Route 53 as tests/integration/test_amazon.py has them; an instance has one volume."""

    production: Production
    taken: dict[str, tuple[str, str]] = field(default_factory=dict)  # by name: instance and moment
    farm: str = "m1.xlarge"  # the old one's type

    def perform(self, call: AmazonCall, name: str, on_line: Callable[[str], None]) -> ProbeOutput:
        on_line("going on")
        if isinstance(call, TakeSnapshots) and name not in self.taken:
            self.taken[name] = (call.instance, _stamp(self.production.clock.now()))
            self.production.acts.append(str(call))
        elif isinstance(call, MoveNames):
            names = self.production.names
            names.update({moved: names[target] for moved, target in call.targets.items()})
        elif isinstance(call, ResizeInstance):
            self.farm = call.type
            self.production.acts.append(str(call))
        self.production.clock.wait(timedelta(seconds=1))
        return ProbeOutput()

    def look(self, look: AmazonLook) -> ProbeOutput:
        if isinstance(look, InstanceSize):
            return ProbeOutput(rows=((self.farm, "running"),))
        assert isinstance(look, SnapshotList)
        of_it = [(name, begun) for name, (instance, begun) in self.taken.items() if instance == look.instance]
        rows = tuple(("vol-1", name, "completed", begun, "") for name, begun in of_it)
        return ProbeOutput(rows=rows or (("vol-1", "", "", "", ""),))


class FakeObjectStore:
    """An object store in memory; a test may let it fail before or after it has kept a text."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.fails: dict[str, bool] = {}  # name: whether the text is kept all the same

    def put_new(self, name: str, text: str) -> bool:
        if name in self.fails:
            if self.fails.pop(name):
                self.texts[name] = text
            raise CutoverError(f"Storing {name} failed: 503.")
        return self.texts.setdefault(name, text) == text

    def get(self, name: str) -> str | None:
        return self.texts.get(name)

    def names(self, start: str) -> list[str]:
        return sorted(name for name in self.texts if name.startswith(start))


@dataclass
class FakePerson:
    """Does by hand what it is asked, or what the script says at `step host`."""

    ssh: FakeSsh
    script: dict[str, list[Choice | None]] = field(default_factory=dict)
    confirms: bool = True
    present: bool = True
    asked: list[str] = field(default_factory=list)

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        self.asked.append(f"perform {step.key} {task.host}")
        choice = self._scripted(f"perform {step.key} {task.host}", Choice.DONE)
        if choice is Choice.DONE:
            for line in task.by_hand:
                if line.startswith("$ "):
                    self.ssh.run(RemoteCommand(host=task.host, command=line.removeprefix("$ ")))
        assert choice is not None
        return choice

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        self.asked.append(f"confirm {step.key} {word}")
        return self.confirms

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        self.asked.append(f"choose {step.key} {task.host} {outcome.value}")
        return self._scripted(f"choose {step.key} {task.host}", None)

    def reason(self, step: Step, task: HostTask) -> str:
        return "the test says so"

    def agree(self, statements: Sequence[str], question: str) -> bool:
        self.asked.append("\n".join([*statements, question]))
        return self.confirms

    def _scripted(self, question: str, default: Choice | None) -> Choice | None:
        answers = self.script.get(question)
        return answers.pop(0) if answers else default


@dataclass
class FakeScreen:
    """Records what is shown; a test may run code just when a step begins."""

    lines: list[str] = field(default_factory=list)
    clocks: list[Forecast] = field(default_factory=list)  # after each step
    at_step: Callable[[str], None] = lambda key: None

    @property
    def begun(self) -> list[str]:
        """The steps that began, by their keys."""
        return [line.removeprefix("begin ") for line in self.lines if line.startswith("begin ")]

    def begin(self, step: Step, total: int, elapsed: timedelta) -> None:
        self.lines.append(f"begin {step.key}")
        self.at_step(step.key)

    @contextmanager
    def board(self, step: Step, tasks: Sequence[HostTask]) -> Iterator[FakeScreen]:
        yield self

    def show(self, host: str, outcome: Outcome, sentence: str) -> None:
        self.lines.append(f"{host} {outcome.value} {sentence}")

    def owed(self, debts: Sequence[Debt]) -> None:
        """Said after every step."""

    def clock(self, seen: Forecast | None) -> None:
        assert seen is not None
        self.clocks.append(seen)

    def still_off(self, debts: Sequence[Debt]) -> None:
        """Said at the end."""

    def say(self, text: str) -> None:
        self.lines.append(text)

    def warn(self, text: str) -> None:
        self.lines.append(f"! {text}")


class Killed(BaseException):
    """The process is gone: nothing after this instant happens in it."""


class MortalJournal(Journal):
    """A journal whose process dies before or after an event is kept."""

    def __init__(self, clock: FakeClock, *, dies_at: int = 0, keeps_last: bool = True) -> None:
        super().__init__(now=clock.now, operator="tester@here")
        self._dies_at = dies_at
        self._keeps_last = keeps_last
        self._dead = False

    def _keep(self, event: Event) -> None:
        if self._dead:
            raise Killed
        self._dead = event.number == self._dies_at
        if self._dead and not self._keeps_last:
            raise Killed

    def stop(self, reason: str, code: int, *, since: int, begun: bool) -> None:
        if not isinstance(sys.exception(), Killed):  # a process that is gone says nothing
            super().stop(reason, code, since=since, begun=begun)

    def _in_turn(self, write: Callable[[], T]) -> T:
        result = super()._in_turn(write)
        if self._dead:
            raise Killed
        return result

    def next_life(self, clock: FakeClock, *, dies_at: int = 0, keeps_last: bool = True) -> MortalJournal:
        """Return the journal as another process reads it."""
        journal = MortalJournal(clock, dies_at=dies_at, keeps_last=keeps_last)
        journal._events.extend(self._events)
        return journal


@dataclass
class FakeNight:
    """A production in memory, with everything a runner needs to work on it."""

    plan: Plan = field(default_factory=night_plan)
    clock: FakeClock = field(default_factory=FakeClock)
    other_checkouts: bool = False  # True if the hosts' checkouts are the test's own affair

    def __post_init__(self) -> None:
        self.production = Production(clock=self.clock)
        self.ssh = FakeSsh(self.production)
        self.jobs = FakeJobs(self.production)
        self.person = FakePerson(self.ssh)
        self.screen = FakeScreen()
        self.object_store = FakeObjectStore()
        self.amazon: Amazon = MemoryAmazon(self.production)
        self.dns: Dns = FakeDns(self.production)
        self.journal = MortalJournal(self.clock)

    @property
    def executor(self) -> LiveExecutor:
        """The live world over in-memory ports; every host has the run's checkout, unless a test says otherwise."""
        if not self.other_checkouts:
            self.production.scope, self.production.inventory = self.plan.scope, inventory_of(self.plan)
        return LiveExecutor(
            ssh=self.ssh,
            jobs=self.jobs,
            sql=FakeSql(self.production),
            http=FakeHttp(self.production),
            dns=self.dns,
            object_store=self.object_store,
            amazon=self.amazon,
            clock=self.clock,
        )

    @property
    def context(self) -> RunContext:
        """A context for one run."""
        return RunContext(
            plan=self.plan,
            executor=self.executor,
            journal=self.journal,
            clock=self.clock,
            person=self.person,
            screen=self.screen,
            approvals=StoreApprovals(self.object_store, self.clock),
        )

    def run(self) -> None:
        """Run the night, or resume it."""
        if not self.journal.events:
            self.context.begin()
        else:
            self.context.adopt_plan()
        Runner(self.context).run()

    def outcomes(self) -> dict[str, str]:
        """`step host` to outcome."""
        history = self.context.history()
        return {f"{step} {host}": past.outcome.value for (step, host), past in history.tasks.items()}


def unreachable() -> ProbeOutput:
    """Return the error of a host that cannot be reached."""
    raise CutoverError("Connecting failed: no route to host.")


def _stamp(moment: datetime | None) -> str:
    return moment.isoformat(timespec="seconds") if moment else ""
