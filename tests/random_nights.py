"""Nights in memory in which any call may fail, lie or be killed, and any answer may come; judged when they are done."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from errors import CutoverError, UnknownError
from runbooks.engine.live.executors import LiveExecutor
from runbooks.engine.model.actions import DetachedJob, HttpGet, ProbeOutput, RemoteCommand, SqlQuery
from runbooks.engine.model.debts import owed
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Choice, JobState
from runbooks.engine.model.step import HostTask, Step
from tests.fakes import FakeHttp, FakeJobs, FakeNight, FakePerson, FakeSql, FakeSsh, Killed, Production

T = TypeVar("T")
LIVES = 12  # of a night's process while everything goes wrong, before it is left in peace
CALM_LIVES = 8
NOISE = ("", "\x00\xff\udce9", "{", "Last login: Fri Aug 15\n", "enabled disabled", "9" * 4000, "\r50%\r51%", "null")
FAULTS: tuple[Callable[[], BaseException], ...] = (
    lambda: CutoverError("Connecting failed: no route to host."),
    lambda: UnknownError("The link was lost; the outcome is unknown."),
    KeyboardInterrupt,
    Killed,
)


@dataclass
class Dice:
    """Decides by a seed which fault comes next; none once it is calm."""

    seed: int
    calm: bool = False
    dead: bool = False  # True after a kill: nothing that the process would still do takes effect
    random: random.Random = field(init=False)
    share: float = field(init=False)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.share = self.random.choice((0.005, 0.03, 0.1))  # of the calls

    def spoil(self, call: Callable[[], T], lie: Callable[[str], T]) -> T:
        """Do the call, or let it fail before or after it took effect, or lie about it."""
        if self.dead:
            raise Killed
        if self.calm or self.random.random() > self.share:
            return call()
        fault = self.random.choice((*FAULTS, None))
        if fault is None:
            return lie(self.random.choice(NOISE))
        if self.random.random() < 0.5:
            call()
        error = fault()
        self.dead = isinstance(error, Killed)
        raise error


@dataclass
class SpoiltSsh:
    """An SSH whose commands go wrong."""

    ssh: FakeSsh
    dice: Dice

    def run(self, command: RemoteCommand) -> ProbeOutput:
        return self.dice.spoil(lambda: self.ssh.run(command), lambda noise: ProbeOutput(text=noise))

    def close(self) -> None:
        """Do nothing."""


@dataclass
class SpoiltJobs:
    """Jobs whose starts and ends get lost."""

    jobs: FakeJobs
    dice: Dice

    def run(self, job: DetachedJob, name: str, on_line: Callable[[str], None]) -> ProbeOutput:
        return self.dice.spoil(lambda: self.jobs.run(job, name, on_line), lambda noise: ProbeOutput(code=1, text=noise))

    def look(self, host: str, name: str) -> JobState:
        return self.jobs.look(host, name)

    def stop(self, host: str, name: str) -> JobState:
        return self.jobs.stop(host, name)


@dataclass
class SpoiltSql:
    """Databases that can't be asked, or return no row."""

    sql: FakeSql
    dice: Dice

    def query(self, query: SqlQuery) -> ProbeOutput:
        return self.dice.spoil(lambda: self.sql.query(query), lambda noise: ProbeOutput())


@dataclass
class SpoiltHttp:
    """An app that can't be asked, or answers with any status."""

    http: FakeHttp
    dice: Dice

    def get(self, request: HttpGet) -> ProbeOutput:
        return self.dice.spoil(lambda: self.http.get(request), lambda noise: ProbeOutput(code=502, text=noise))


@dataclass
class RandomPerson(FakePerson):
    """A person who answers anything, walks away, or presses Ctrl-C; but skips nothing that switches something on."""

    dice: Dice = field(default_factory=lambda: Dice(0))

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        self._may_leave()
        if not self.dice.calm and task.pays is None and self.dice.random.random() < 0.05:
            return Choice.SKIP
        return super().perform(step, task, note)

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        self._may_leave()
        return self.dice.calm or self.dice.random.random() < 0.7

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        self._may_leave()
        if self.dice.calm:
            return Choice.RETRY
        left = (Choice.SKIP,) if task.pays is None else ()
        answers: tuple[Choice | None, ...] = (Choice.RETRY, Choice.RETRY, Choice.BY_HAND, Choice.ABORT, None, *left)
        return self.dice.random.choice(answers)

    def _may_leave(self) -> None:
        if not self.dice.calm and self.dice.random.random() < 0.05:
            raise self.dice.random.choice((KeyboardInterrupt(), Killed()))


@dataclass
class SpoiltNight(FakeNight):
    """A night in which anything may go wrong."""

    dice: Dice = field(default_factory=lambda: Dice(0))
    sent: list[tuple[str, int]] = field(default_factory=list)  # each act, and how many events were written before it

    def __post_init__(self) -> None:
        super().__post_init__()
        self.person = RandomPerson(self.ssh, dice=self.dice)
        act = self.production.do

        def noted(host: str, command: str) -> ProbeOutput:
            before = len(self.production.acts)
            try:
                return act(host, command)
            finally:
                self.sent += [(each, len(self.journal.events)) for each in self.production.acts[before:]]

        self.production.do = noted  # type: ignore[method-assign]

    @property
    def executor(self) -> LiveExecutor:
        """The same in-memory ports, spoilt."""
        sound = super().executor
        return replace(
            sound,
            ssh=SpoiltSsh(self.ssh, self.dice),
            jobs=SpoiltJobs(self.jobs, self.dice),
            sql=SpoiltSql(FakeSql(self.production), self.dice),
            http=SpoiltHttp(FakeHttp(self.production), self.dice),
        )


def faults(seed: int) -> list[str]:
    """Play a night by a seed until it is done; return what was wrong with it, in sentences."""
    night, wrong = SpoiltNight(dice=Dice(seed)), list[str]()
    for life in range(LIVES + CALM_LIVES):
        night.dice.calm = life >= LIVES
        wrong += [f"seed {seed}, life {life}: {fault}" for fault in _life(night)]
        if night.journal.events and night.journal.events[-1].kind is Kind.ENDED:
            break
    else:
        wrong.append(f"seed {seed}: never done: {night.journal.events[-1].data}")
    return [*wrong, *(f"seed {seed}: {fault}" for fault in (*_twice(night), *_off(night.production)))]


def _life(night: SpoiltNight) -> Iterator[str]:
    """Run the night in one process; yield what must not be."""
    night.dice.dead = False
    try:
        night.run()
    except Killed:
        pass
    except (CutoverError, KeyboardInterrupt):
        if night.journal.events and night.journal.events[-1].kind is not Kind.STOPPED:
            yield f"it stopped, and the last event is {night.journal.events[-1].kind.value}"
    except BaseException as error:
        yield f"a traceback: {error!r}"
    owing = {(debt.what, debt.where) for debt in owed(night.journal.events)}
    yield from (f"off and not owed: {off}" for off in _off(night.production) if not _is_owed(off, owing))
    night.journal = night.journal.next_life(night.clock)


def _off(production: Production) -> list[str]:
    """Return what is switched off, by the words of debts."""
    return [
        *(["maintenance mode"] * production.maintenance),
        *(["System Watcher"] * (not production.watcher)),
        *(["ETL"] * (not any(production.etl.values()))),
        *(f"auto-backup {host}" for host, on in production.schedule.items() if not on),
        *(f"standby {host}" for host, on in production.standby.items() if not on),
    ]


def _is_owed(off: str, owing: Collection[tuple[str, str]]) -> bool:
    what, _, host = off.rpartition(" ") if " db-" in off else (off, "", "")
    return any(what.lower() in debt.lower() and host in where for debt, where in owing)


def _twice(night: SpoiltNight) -> Iterator[str]:
    """Yield each act that was sent again although nothing said that the one before was over or to be repeated."""
    before: dict[str, int] = {}
    for act, number in night.sent:
        if act in before:
            host = act.partition(":")[0]
            between = [event for event in night.journal.events[before[act] : number] if event.host == host]
            if not any(event.data.get("over") or event.kind is Kind.ANSWER for event in between):
                yield f"sent twice: {act}"
        before[act] = number
