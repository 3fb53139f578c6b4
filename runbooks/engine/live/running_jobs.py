"""The jobs that run on a host now, whoever started them: found by their folders there, attached to, and stopped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from errors import CutoverError
from runbooks.engine.live.job_scripts import COMMAND, END, LINE

_JOB = re.compile(r"cutover-job (\S+) (\d+) (\d+) (\d+)")  # name, process, seconds, offset in the log
_NIGHT = re.compile(r"(?P<environment>.+)-(?P<date>\d{4}-\d\d-\d\d)-[0-9a-f]{8}\.(?P<step>.+)")
_TASK = re.compile(r"(?P<task>.+)\.[0-9a-f]{12}")


@dataclass(frozen=True, kw_only=True)
class RunningJob:
    """A detached job that runs on a host."""

    host: str
    name: str  # as `job_name` makes it of a step, or a task's name and a random number
    pid: int
    runs: timedelta  # since it began, by its host's clock
    offset: int = 0  # bytes of the log before its last lines
    command: str = ""
    line: str = ""  # the last line of its log

    @property
    def date(self) -> str:
        """The night to which it belongs, such as 2014-08-15; empty if it belongs to none."""
        night = _NIGHT.fullmatch(self.name)
        return night["date"] if night else ""

    @property
    def work(self) -> str:
        """The step or task that it does, such as vacuum.full or archive.school."""
        if night := _NIGHT.fullmatch(self.name):
            host = re.escape(re.sub(r"[^\w.-]", "_", self.host, flags=re.ASCII))
            return re.sub(rf"\.{host}\.\d+$", "", night["step"])
        task = _TASK.fullmatch(self.name)
        return task["task"] if task else self.name

    def __str__(self) -> str:
        return f"{self.work} of {self.date}" if self.date else self.work


def read_jobs(host: str, text: str) -> tuple[RunningJob, ...]:
    """Parse what `list_script` prints; lines that are not its own, as of a login shell, are passed over.

    Raises CutoverError if the script did not come to its end.
    """
    lines = text.split("\n")
    if END not in lines:
        raise CutoverError(f"Asking {host} for its jobs failed: its answer is incomplete.")
    return tuple(_jobs(host, lines))


def _jobs(host: str, lines: list[str]) -> Iterator[RunningJob]:
    job: RunningJob | None = None
    for line in lines:
        if head := _JOB.fullmatch(line):
            if job:
                yield job
            name, pid, seconds, offset = head.groups()
            runs = timedelta(seconds=int(seconds))
            job = RunningJob(host=host, name=name, pid=int(pid), runs=runs, offset=int(offset))
        elif job and line.startswith(COMMAND):
            job = replace(job, command=line.removeprefix(COMMAND))
        elif job and line.startswith(LINE):
            job = replace(job, line=line.removeprefix(LINE))
    if job:
        yield job
