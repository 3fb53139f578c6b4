"""The executors of a run: the live one, made of ports, and the dry-run one, without transport."""

from __future__ import annotations

from dataclasses import dataclass, replace

from errors import CutoverError, UnknownError
from runbooks.engine.model.actions import (
    Action,
    DetachedJob,
    DnsLookup,
    HttpGet,
    InstanceSize,
    Look,
    MoveNames,
    ProbeOutput,
    RemoteCommand,
    ResizeInstance,
    ResizeTrial,
    SnapshotList,
    SnapshotTrial,
    SqlQuery,
    StoreTrial,
    TakeSnapshots,
    ZoneRecords,
)
from runbooks.engine.model.history import Facts
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Acted, Amazon, Clock, Dns, Http, Jobs, JobState, ObjectStore, OnLine, Sql, Ssh
from runbooks.engine.model.probe_output import Unreadable, complaint, ended, last_lines
from runbooks.engine.model.step import Check, Verdict, fails, holds, unseen


def log_path(name: str) -> str:
    """Return where a job's log is on its host."""
    return f"~/.cutover/jobs/{name}/log"


class JobLost(UnknownError):
    """A job no longer exists and left no exit status."""


class ActFailed(CutoverError):
    """An act was begun and failed, and nothing of it still runs."""


@dataclass(frozen=True, kw_only=True)
class LiveExecutor:
    """Checks and acts through ports."""

    ssh: Ssh
    jobs: Jobs
    sql: Sql
    http: Http
    dns: Dns
    object_store: ObjectStore
    amazon: Amazon
    clock: Clock

    def look(self, check: Check, facts: Facts, *, expected: bool) -> Verdict:
        """Return the verdict of a check; an error of a look is a verdict too: unseen."""
        try:
            outputs = tuple(self.read(look) for look in check.looks)
            return check.judge(outputs, facts)
        except (CutoverError, Unreadable) as error:
            return unseen(f"could not tell: {error}")
        except (LookupError, TypeError, ValueError) as error:  # a judge takes an answer apart: this one is of no shape
            return unseen(f"could not tell: the answer to {check.title!r} can't be read ({type(error).__name__})")

    def read(self, look: Look) -> ProbeOutput:
        """Return the output of a look."""
        match look:
            case RemoteCommand():
                return self.ssh.run(look)
            case SqlQuery():
                return self.sql.query(look)
            case HttpGet():
                return self.http.get(look)
            case DnsLookup():
                return self._resolved(look)
            case StoreTrial():
                return _tried(self.object_store, f"{look.folder}/{self.clock.now():%Y%m%dT%H%M%S%f}")
            case SnapshotList() | SnapshotTrial() | InstanceSize() | ResizeTrial() | ZoneRecords():
                return self.amazon.look(look)

    def _resolved(self, look: DnsLookup) -> ProbeOutput:
        """Return the addresses of the names, and of new ones once the first name leads where the second does."""
        output = self.dns.look_up(replace(look, new=()))
        moved, target = ({row for asked, row in output.rows if asked == name} for name in look.names[:2])
        if not look.new or not moved or not moved <= target:
            return output
        return replace(output, rows=(*output.rows, *self.dns.look_up(DnsLookup(names=look.new)).rows))

    def act(self, action: Action, name: str, on_line: OnLine) -> Acted:
        """Perform an action; the result tells failed from unknown."""
        try:
            output = self._perform(action, name, on_line)
        except UnknownError as error:
            return Acted(outcome=Outcome.UNKNOWN, sentence=str(error), over=isinstance(error, JobLost))
        except CutoverError as error:  # otherwise not begun now; an earlier act of that name may have been
            return Acted(outcome=Outcome.FAILED, sentence=str(error), over=isinstance(error, ActFailed))
        if output.code != 0:
            return Acted(outcome=Outcome.FAILED, sentence=_complaint(action, name, output))
        return Acted(outcome=Outcome.DONE)

    def _perform(self, action: Action, name: str, on_line: OnLine) -> ProbeOutput:
        match action:
            case RemoteCommand():
                return self.ssh.run(action)
            case DetachedJob():
                return self.jobs.run(action, name, on_line)
            case TakeSnapshots() | MoveNames() | ResizeInstance():
                return self.amazon.perform(action, name, on_line)

    def look_at_job(self, host: str, name: str) -> JobState:
        """Return the state of a detached job."""
        return self.jobs.look(host, name)

    def stop_job(self, host: str, name: str) -> JobState:
        """Stop a detached job for good and return its state."""
        return self.jobs.stop(host, name)

    def interrupt(self) -> None:
        """End waits and close connections, so that no thread hangs on them."""
        self.clock.interrupt()
        self.ssh.close()


class NoDryForm(CutoverError):
    """An effect without a dry-run form; it must not run at all."""


class DryRunExecutor:
    """Displays every effect, and has no means to perform one."""

    def look(self, check: Check, facts: Facts, *, expected: bool) -> Verdict:
        """Return the expected verdict: a dry run reads nothing."""
        displayed = Check(title=check.title, looks=tuple(_dry(look) for look in check.looks), judge=check.judge)
        return holds(str(displayed)) if expected else fails("not looked at in a dry run")

    def read(self, look: Look) -> ProbeOutput:
        """Return one empty row: a dry run reads nothing."""
        _dry(look)
        return ProbeOutput(rows=((),))

    def act(self, action: Action, name: str, on_line: OnLine) -> Acted:
        """Return DONE without doing anything."""
        if not isinstance(action, Action):
            raise _no_dry_form(action)
        return Acted(outcome=Outcome.DONE)

    def look_at_job(self, host: str, name: str) -> JobState:
        """Raise NoDryForm: a dry run begins no job."""
        raise _no_dry_form(name)

    def stop_job(self, host: str, name: str) -> JobState:
        """Raise NoDryForm: a dry run begins no job."""
        raise _no_dry_form(name)

    def interrupt(self) -> None:
        """Do nothing: a dry run waits for nothing."""


def _complaint(action: Action, name: str, output: ProbeOutput) -> str:
    """Return why an action failed; of a detached job its last lines, and the place of its log."""
    if not isinstance(action, DetachedJob):
        return complaint(str(action), output)
    return f"{action} {ended(output.code)}: {last_lines(output.text or output.error)}; its log there: {log_path(name)}"


def _tried(object_store: ObjectStore, name: str) -> ProbeOutput:
    object_store.put_new(name, name)
    replaced = object_store.put_new(name, f"{name} again")
    return ProbeOutput(code=2 if replaced else 0 if object_store.get(name) == name else 1, text=name)


def _dry(look: Look) -> Look:
    if not isinstance(look, Look):
        raise _no_dry_form(look)
    return look


def _no_dry_form(effect: object) -> NoDryForm:
    return NoDryForm(f"{type(effect).__name__} has no dry form, so a dry run can't go on.")
