"""The engine's ports to the outside: protocols with live, dry-run and in-memory implementations."""

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
from runbooks.engine.model.history import Facts, Word
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.step import Check, Debt, HostTask, Step, Verdict

OnLine = Callable[[str], None]  # takes a line of progress


class Ssh(Protocol):
    """Runs short commands on hosts."""

    def run(self, command: RemoteCommand) -> ProbeOutput:
        """Run a command and return its output and exit code. Raises UnknownError if its outcome was lost."""

    def close(self) -> None:
        """Close every connection, including those in use."""


@dataclass(frozen=True, kw_only=True)
class JobState:
    """The state of a job, as its host reports it."""

    state: str  # running, exited, lost or absent
    code: int = 0  # exit status
    pid: int = 0
    line: str = ""  # the last line of its log

    @property
    def running(self) -> bool:
        """True if it is still running."""
        return self.state == "running"


class Jobs(Protocol):
    """Runs long commands on hosts, independently of the connection."""

    def run(self, job: DetachedJob, name: str, on_line: OnLine) -> ProbeOutput:
        """Start the job, or attach to the one with that name, follow it to its end and return its output.

        Raises JobLost if it has left no exit status, UnknownError if its end was not seen.
        """

    def look(self, host: str, name: str) -> JobState:
        """Return the state of a job. Raises CutoverError if its host can't report it."""

    def stop(self, host: str, name: str) -> JobState:
        """Stop a job with all its processes, for good, and return its state. Raises CutoverError as `look` does."""


class Sql(Protocol):
    """Queries databases."""

    def query(self, query: SqlQuery) -> ProbeOutput:
        """Return the rows of a query."""


class Http(Protocol):
    """Requests pages."""

    def get(self, request: HttpGet) -> ProbeOutput:
        """Return the response's status and reason, also for an error status."""


class Dns(Protocol):
    """Resolves names."""

    def look_up(self, lookup: DnsLookup) -> ProbeOutput:
        """Return a row (name, address) for each address; none for a name that does not exist."""


class Amazon(Protocol):
    """Calls Amazon's API."""

    def perform(self, call: AmazonCall, name: str, on_line: OnLine) -> ProbeOutput:
        """Perform the call, or continue the one begun under that name, and follow it to its end.

        Raises ActFailed if it was begun and failed, CutoverError if it was not begun, UnknownError if its end was not
        seen.
        """

    def look(self, look: AmazonLook) -> ProbeOutput:
        """Return Amazon's answer. Raises CutoverError if there is none."""


class ObjectStore(Protocol):
    """Small texts of an environment, stored where every machine that works on it can read them."""

    def put_new(self, name: str, text: str) -> bool:
        """Store a text permanently; return False if that name holds another text already."""

    def get(self, name: str) -> str | None:
        """Return the text with that name; None if there is none."""

    def names(self, start: str) -> list[str]:
        """Return every name that begins with `start`, in order."""


class Notifier(Protocol):
    """Notifies people who are not at the terminal."""

    def notify(self, event: str, text: str, step: str = "") -> None:
        """Send a text in the background: it never waits and never raises."""


class Clock(Protocol):
    """Tells the time and waits."""

    def now(self) -> datetime:
        """Return the current time, with its time zone."""

    def ticks(self) -> float:
        """Return monotonic seconds."""

    def wait(self, pause: timedelta) -> None:
        """Wait. Raises Interrupted as soon as the run is interrupted."""

    def interrupt(self) -> None:
        """End every wait, now and later."""


class Choice(Enum):
    """A person's decision."""

    DONE = "done"  # done by hand
    RETRY = "retry"
    BY_HAND = "by hand"
    SKIP = "skip"
    ABORT = "abort"


class Person(Protocol):
    """The person who answers the run's questions."""

    @property
    def present(self) -> bool:
        """True if a person can be asked."""

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Have the person follow the instructions; return DONE, SKIP or ABORT."""

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Return True if the person typed the word that lets an irreversible step begin."""

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """Return the decision about a failure: RETRY, BY_HAND, SKIP or ABORT; None if no person is present."""

    def reason(self, step: Step, task: HostTask) -> str:
        """Return the reason for which a step is skipped."""

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Show the statements and return True if the person answers yes."""


class Approvals(Protocol):
    """Waits for the approval of a second person."""

    def approver(self, run: str, typed: Word) -> str:
        """Wait until a person other than the typist has approved the typed date; return that person."""


@dataclass(frozen=True, kw_only=True)
class Acted:
    """The result of an act, before its proof is checked."""

    outcome: Outcome  # DONE, FAILED or UNKNOWN
    sentence: str = ""
    over: bool = True  # True if nothing of it is still running


class Executor(Protocol):
    """Reads and changes the systems of an environment."""

    def look(self, check: Check, facts: Facts, *, expected: bool) -> Verdict:
        """Return the verdict of a check. `expected`: True if it should hold by now; a dry run returns just that."""

    def read(self, look: Look) -> ProbeOutput:
        """Return the output of a look."""

    def act(self, action: Action, name: str, on_line: OnLine) -> Acted:
        """Perform an action and return its result; `name` identifies the attempt."""

    def look_at_job(self, host: str, name: str) -> JobState:
        """Return the state of a detached job. Raises CutoverError if its host can't report it."""

    def stop_job(self, host: str, name: str) -> JobState:
        """Stop a detached job for good and return its state. Raises CutoverError if its host can't report it."""

    def interrupt(self) -> None:
        """End whatever is being waited for."""


class Board(Protocol):
    """Displays the hosts of a step while they are at work."""

    def show(self, host: str, outcome: Outcome, sentence: str) -> None:
        """Display a host's new state."""


class Screen(Protocol):
    """The operator's screen."""

    def begin(self, step: Step, total: int, elapsed: timedelta) -> None:
        """Print that a step begins; `elapsed` is the time since the night began."""

    def board(self, step: Step, tasks: Sequence[HostTask]) -> AbstractContextManager[Board]:
        """Return a board for some hosts of a step."""

    def owed(self, debts: Sequence[Debt]) -> None:
        """Print in one line what is still off."""

    def clock(self, seen: Forecast | None) -> None:
        """Print the time elapsed, the expected end, and the latest time to turn back."""

    def say(self, text: str) -> None:
        """Print a sentence."""

    def warn(self, text: str) -> None:
        """Print a warning."""

    def still_off(self, debts: Sequence[Debt]) -> None:
        """Print what is still off, and where, now that the run stops."""
