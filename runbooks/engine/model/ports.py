"""What the engine needs of the outside: each port is a protocol, so that live, dry and in-memory ones are alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum
from typing import Protocol

from runbooks.engine.model.actions import (
    Action,
    AmazonCall,
    AmazonLook,
    DetachedJob,
    DnsLookup,
    HttpGet,
    Look,
    ProbeOutput,
    RemoteCommand,
    SqlQuery,
)
from runbooks.engine.model.forecast import Forecast
from runbooks.engine.model.history import Facts
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.step import Check, Debt, HostTask, Step, Verdict

OnLine = Callable[[str], None]  # takes a line of progress


class Ssh(Protocol):
    """Runs short commands on hosts."""

    def run(self, command: RemoteCommand) -> ProbeOutput:
        """What it printed, and its exit code; UnknownError where its outcome was lost."""

    def close(self) -> None:
        """Drops every connection, also those in use."""


@dataclass(frozen=True, kw_only=True)
class JobState:
    """What became of a job, as far as its host knows."""

    state: str  # running, exited, lost or absent
    code: int = 0  # exit status
    pid: int = 0
    line: str = ""  # the last of its log

    @property
    def running(self) -> bool:
        """Whether it is still at work."""
        return self.state == "running"


class Jobs(Protocol):
    """Runs long commands on hosts, apart from the connection."""

    def run(self, job: DetachedJob, name: str, tell: OnLine) -> ProbeOutput:
        """Starts the job, or attaches to the one of that name, and follows it to its end.

        Raises JobLost where it is gone without an exit status, UnknownError where its end was not seen.
        """

    def look(self, host: str, name: str) -> JobState:
        """What became of a job; CutoverError where its host can't tell."""

    def stop(self, host: str, name: str) -> JobState:
        """Stops a job with all its processes, for good, and says what became of it; CutoverError as `look`."""


class Sql(Protocol):
    """Asks databases."""

    def query(self, query: SqlQuery) -> ProbeOutput:
        """Its rows."""


class Http(Protocol):
    """Asks for pages."""

    def get(self, request: HttpGet) -> ProbeOutput:
        """Its status and reason, whatever the status is."""


class Dns(Protocol):
    """Resolves names."""

    def look_up(self, lookup: DnsLookup) -> ProbeOutput:
        """A row (name, address) for each address; none for a name that does not exist."""


class Amazon(Protocol):
    """Asks Amazon's API."""

    def perform(self, call: AmazonCall, name: str, tell: OnLine) -> ProbeOutput:
        """Does it, or goes on with what was begun under that name, and follows it to its end.

        Raises ActFailed where it was begun and has failed, CutoverError where it was not begun, UnknownError where its
        end was not seen.
        """

    def look(self, look: AmazonLook) -> ProbeOutput:
        """What Amazon says; CutoverError where it does not."""


class ObjectStore(Protocol):
    """Small texts of an environment, kept where every machine that works on it sees them."""

    def put_new(self, name: str, text: str) -> bool:
        """Keeps a text for good; False where another stands under that name already."""

    def get(self, name: str) -> str | None:
        """The text of that name; none where there is none."""

    def names(self, start: str) -> list[str]:
        """Every name that begins so, in order."""


class Notifier(Protocol):
    """Tells people who are not at the terminal."""

    def tell(self, event: str, text: str, step: str = "") -> None:
        """Takes the words, and is back at once: it never waits and never raises."""


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """The moment, with its time zone."""

    def ticks(self) -> float:
        """Seconds that only grow."""

    def wait(self, pause: timedelta) -> None:
        """Waits; raises Interrupted as soon as the run is."""

    def interrupt(self) -> None:
        """Ends every wait, now and later."""


class Choice(Enum):
    """What a person decides."""

    DONE = "done"  # it is done by hand
    RETRY = "retry"
    BY_HAND = "by hand"
    SKIP = "skip"
    ABORT = "abort"


class Person(Protocol):
    """Whoever answers."""

    @property
    def present(self) -> bool:
        """Whether there is anybody to ask."""

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Does by hand what the instructions say: DONE, SKIP or ABORT."""

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Whether the person typed the word that lets an irreversible step begin."""

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """What to do about a failure: RETRY, BY_HAND, SKIP or ABORT; None where nobody can decide."""

    def reason(self, step: Step, task: HostTask) -> str:
        """Why a step is skipped."""

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Whether the person says yes, having read the statements."""


class Approvals(Protocol):
    """Brings the word of a second person."""

    def approver(self, run: str, typist: str) -> str:
        """Waits until somebody else than who typed the word has approved the run; who that is."""


@dataclass(frozen=True, kw_only=True)
class Acted:
    """How an act ended, as far as it can be told without looking at the world."""

    outcome: Outcome  # DONE, FAILED or UNKNOWN
    sentence: str = ""
    over: bool = True  # whether nothing of it is still running


class Executor(Protocol):
    """Everything a run looks at and acts on."""

    def look(self, check: Check, facts: Facts, *, expected: bool) -> Verdict:
        """Whether a check holds; `expected` says whether it should by now, which is all that a dry run can see."""

    def read(self, look: Look) -> ProbeOutput:
        """What a look sees."""

    def act(self, action: Action, name: str, tell: OnLine) -> Acted:
        """Performs an action; `name` is the same whenever the same attempt is meant."""

    def look_at_job(self, host: str, name: str) -> JobState:
        """What became of a detached job; CutoverError where its host can't tell."""

    def stop_job(self, host: str, name: str) -> JobState:
        """Stops a detached job for good, and says what became of it; CutoverError where its host can't tell."""

    def interrupt(self) -> None:
        """Lets go of whatever is being waited for."""


class Board(Protocol):
    """Shows the hosts of a step while they are at work."""

    def show(self, host: str, outcome: Outcome, sentence: str) -> None:
        """A host's new state."""


class Screen(Protocol):
    """What the operator sees."""

    def begin(self, step: Step, total: int, elapsed: timedelta) -> None:
        """A step begins, so long after the night did."""

    def board(self, step: Step, tasks: Sequence[HostTask]) -> AbstractContextManager[Board]:
        """A board for some hosts of a step."""

    def owed(self, debts: Sequence[Debt]) -> None:
        """What is still switched off."""

    def clock(self, seen: Forecast | None) -> None:
        """How long it has lasted, when it will be done, and until when turning back still fits."""

    def say(self, text: str) -> None:
        """A sentence."""

    def warn(self, text: str) -> None:
        """A sentence that must not be overlooked."""

    def still_off(self, debts: Sequence[Debt]) -> None:
        """What is still switched off, and where, now that the run stops."""
