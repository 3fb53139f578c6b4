"""Long commands that run on their host independently of the connection, with their state in files there.

A job's folder is `~/.cutover/jobs/<name>`: `command`, `pid` (with the process's start time), `log`, `exit`. The name
identifies the attempt, so that starting it again attaches to the job. `pid` is created by a hard link, which only one
starter can win: the command never runs twice.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from errors import CutoverError, UnknownError
from runbooks.engine.live.executors import JobLost, log_path
from runbooks.engine.live.job_scripts import (
    MOST_FAILURES,
    list_script,
    look_script,
    news_script,
    start_script,
    stop_script,
)
from runbooks.engine.live.running_jobs import RunningJob, read_jobs
from runbooks.engine.model.actions import DetachedJob, ProbeOutput, RemoteCommand
from runbooks.engine.model.ports import Clock, JobState, OnLine, Ssh
from runbooks.engine.model.probe_output import FAILURE, excerpt, last_lines

FIRST_PAUSE = timedelta(milliseconds=200)
LONGEST_PAUSE = timedelta(seconds=3)
RUNNING = "running"
SILENCE = timedelta(minutes=10)
SILENT = "silent"  # no news of the job arrived
TAIL = 2000  # characters of log kept for the result


def job_name(run: str, step: str, host: str, attempt: int) -> str:
    """Return the name of one attempt of a step on a host in a run."""
    return re.sub(r"[^\w.-]", "_", f"{run}.{step}.{host}.{attempt}", flags=re.ASCII)


@dataclass(frozen=True, kw_only=True)
class News:
    """The state and new log output of a job."""

    state: str  # running, exited, lost, absent or silent
    code: int = 0  # exit status
    next: int = 0  # the byte of the log with which the next piece begins
    end: int = 0  # bytes of the log when this was fetched
    text: str = ""  # the piece of the log before `next`

    @property
    def more(self) -> bool:
        """True if the log has more than was fetched."""
        return self.next < self.end

    @property
    def last(self) -> bool:
        """True if nothing more will come."""
        return self.state not in (RUNNING, SILENT) and not self.more


@dataclass(frozen=True)
class RemoteJobs:
    """Jobs over the ssh port."""

    ssh: Ssh
    clock: Clock
    exports: Mapping[str, str] = field(default_factory=dict)  # environment variables of every job
    silence: timedelta = SILENCE  # time without news after which a job's outcome is unknown
    operator: str = ""  # named in the log of a job that is stopped

    def run(self, job: DetachedJob, name: str, on_line: OnLine) -> ProbeOutput:
        """Start the job, or attach to the one with that name, follow it to its end and return its output."""
        started = self.ssh.run(RemoteCommand(host=job.host, command=start_script(name, job.command, self.exports)))
        if started.code != 0:
            raise CutoverError(f"Starting a job on {job.host} failed: {started.error.strip() or 'no reason given'}.")
        return self._follow(job, name, on_line)

    def running(self, host: str) -> tuple[RunningJob, ...]:
        """Return the jobs that run on a host now. Raises CutoverError if it can't report them."""
        return read_jobs(host, self.ssh.run(RemoteCommand(host=host, command=list_script())).text)

    def attach(self, running: RunningJob, timeout: timedelta, on_line: OnLine) -> ProbeOutput:
        """Follow a running job from the last lines of its log to its end; raise as `run` does."""
        job = DetachedJob(host=running.host, command=running.command, timeout=timeout)
        return self._follow(job, running.name, on_line, running.offset)

    def look(self, host: str, name: str) -> JobState:
        """Return the state of a job. Raises CutoverError if its host can't report it."""
        return self._asked(host, look_script(name))

    def stop(self, host: str, name: str) -> JobState:
        """Stop a job with all its processes, for good, and return its state. Raises CutoverError as `look` does."""
        return self._asked(host, stop_script(name, self.operator))

    def _asked(self, host: str, script: str) -> JobState:
        output = self.ssh.run(RemoteCommand(host=host, command=script))
        try:
            return read_state(output.text)
        except ValueError:
            why = excerpt(output.error) or excerpt(output.text) or "no reason given"
            raise CutoverError(f"Asking {host} for a job failed: {why}.") from None

    def _follow(self, job: DetachedJob, name: str, on_line: OnLine, offset: int = 0) -> ProbeOutput:
        log, pause, heard = _Log(on_line, offset), FIRST_PAUSE, self.clock.ticks()
        end = heard + job.timeout.total_seconds()
        while self.clock.ticks() < min(end, heard + self.silence.total_seconds()):
            news = self._news(job.host, name, log.offset, on_line)
            heard = heard if news.state == SILENT else self.clock.ticks()
            log.add(news)
            if news.last:
                return _ending(job, name, news, log)
            if not news.more:
                pause = FIRST_PAUSE if news.text else min(pause * 1.3, LONGEST_PAUSE)
                self.clock.wait(pause)
        raise self._unknown(job, name, late=self.clock.ticks() >= end)

    def _news(self, host: str, name: str, offset: int, on_line: OnLine) -> News:
        """Return the news of a job; a lost connection is no news, and is tried again."""
        try:
            output = self.ssh.run(RemoteCommand(host=host, command=news_script(name, offset)))
            return read_news(output.text)
        except (CutoverError, ValueError) as error:
            on_line(f"no news from {host}, trying again: {error}")
            return News(state=SILENT, next=offset, end=offset)

    def _unknown(self, job: DetachedJob, name: str, *, late: bool) -> UnknownError:
        why = f"it has not ended within {job.timeout}" if late else f"no news for {self.silence}"
        return UnknownError(
            f"The outcome of the job {name} on {job.host} is unknown: {why}. Its log there: {log_path(name)}",
            hint=f"It may still be running: inv cutover.attach {job.host} follows it.",
        )


def read_news(text: str) -> News:
    """Parse the news a script printed: a line `state code next end`, then a piece of the log. Raises ValueError."""
    head, _, body = text.partition("\n")
    try:
        state, code, following, end = head.split()
        return News(state=state, code=int(code), next=int(following), end=int(end), text=body)
    except ValueError:
        raise ValueError(f"its answer can't be read: {excerpt(head) or 'nothing'}") from None


def read_state(text: str) -> JobState:
    """Parse the state a script printed: a line `state code pid`, then a line of the log. Raises ValueError."""
    head, _, line = text.partition("\n")
    state, code, pid = head.split()
    return JobState(state=state, code=int(code), pid=int(pid), line=line.strip())


class _Log:
    """The fetched part of a log: reported line by line, its end retained."""

    def __init__(self, on_line: OnLine, offset: int = 0) -> None:
        self._on_line = on_line
        self._rest = ""  # of an incomplete line
        self._failures: list[str] = []  # the first lines that report one
        self.offset = offset  # bytes
        self.tail = ""

    @property
    def end(self) -> str:
        """The end of the log, after the failures that it reported earlier."""
        return "".join([*(f"{line}\n" for line in self._failures if line not in self.tail), self.tail])

    def add(self, news: News) -> None:
        """Add the next piece."""
        self.offset = news.next
        self.tail = (self.tail + news.text)[-TAIL:]
        *lines, self._rest = (self._rest + news.text).split("\n")
        if news.last:
            lines.append(self._rest)
        else:  # progress that is written over itself has no end of a line before all is over
            over, returned, self._rest = self._rest.rpartition("\r")
            lines.append(over + returned)
        for line in lines:
            self._tell(line)

    def _tell(self, line: str) -> None:
        """Tell what is seen of a line at last; what failed on the way is kept, too."""
        parts = [part for part in line.split("\r") if part.strip()]
        failures = [part for part in parts if FAILURE in part]
        self._failures += failures[: MOST_FAILURES - len(self._failures)]
        for part in parts[-1:]:
            self._on_line(part)


def _ending(job: DetachedJob, name: str, news: News, log: _Log) -> ProbeOutput:
    if news.state != "exited":
        last = f"; it last said: {last_lines(log.tail)}" if log.tail.strip() else ""
        raise JobLost(f"The job {name} on {job.host} no longer exists and left no exit status{last}.")
    return ProbeOutput(code=news.code, text=log.end)
