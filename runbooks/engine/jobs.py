"""Long commands, run on their host apart from the connection: state lies in files there.

A job's folder is `~/.cutover/jobs/<name>`: `command`, `pid` (with the process's start time), `log`, `exit`. The name is
the same whenever the same attempt is meant, so that starting it again attaches to it. `pid` is made by a hard link,
which only one starter can win: the command never runs twice.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from errors import CutoverError, UnknownError
from runbooks.engine.actions import DetachedJob, Reading, RemoteCommand
from runbooks.engine.ports import Clock, Ssh, Tell
from runbooks.engine.world import JobLost

FIRST_PAUSE = timedelta(milliseconds=200)
LONGEST_PAUSE = timedelta(seconds=3)
SILENCE = timedelta(minutes=10)
SILENT = "silent"  # no news of a job came through
CHUNK = 64 * 1024  # bytes of log fetched at a time
TAIL = 2000  # characters of log kept for the result


def job_name(run: str, step: str, host: str, attempt: int) -> str:
    """The name of one attempt of a step on a host in a run."""
    return re.sub(r"[^\w.-]", "_", f"{run}.{step}.{host}.{attempt}", flags=re.ASCII)


@dataclass(frozen=True, kw_only=True)
class News:
    """What a job's folder says."""

    state: str  # running, exited, lost, absent or silent
    code: int = 0  # exit status
    size: int = 0  # bytes of log fetched
    text: str = ""  # those bytes

    @property
    def more(self) -> bool:
        """Whether there is more of the log than was fetched."""
        return self.size == CHUNK

    @property
    def last(self) -> bool:
        """Whether nothing more will come."""
        return self.state not in ("running", SILENT) and not self.more


@dataclass(frozen=True)
class RemoteJobs:
    """Jobs over the ssh port."""

    ssh: Ssh
    clock: Clock
    exports: Mapping[str, str] = field(default_factory=dict)  # environment variables of every job
    silence: timedelta = SILENCE  # so long without news, and nobody knows a job's outcome

    def run(self, job: DetachedJob, name: str, tell: Tell) -> Reading:
        """Starts the job, or attaches to the one of that name, and follows it to its end."""
        started = self.ssh.run(RemoteCommand(host=job.host, command=start_script(name, job.command, self.exports)))
        if started.code != 0:
            raise CutoverError(f"Starting a job on {job.host} failed: {started.error.strip() or 'no reason given'}.")
        return self._follow(job, name, tell)

    def _follow(self, job: DetachedJob, name: str, tell: Tell) -> Reading:
        log, pause, heard = _Log(tell), FIRST_PAUSE, self.clock.ticks()
        end = heard + job.timeout.total_seconds()
        while self.clock.ticks() < min(end, heard + self.silence.total_seconds()):
            news = self._news(job.host, name, log.offset, tell)
            heard = heard if news.state == SILENT else self.clock.ticks()
            log.add(news)
            if news.last:
                return _ending(job, name, news, log)
            if not news.more:
                pause = FIRST_PAUSE if news.size else min(pause * 1.3, LONGEST_PAUSE)
                self.clock.wait(pause)
        raise self._unknown(job, name, late=self.clock.ticks() >= end)

    def _news(self, host: str, name: str, offset: int, tell: Tell) -> News:
        """What is new; a lost link is no news, and is tried again."""
        try:
            reading = self.ssh.run(RemoteCommand(host=host, command=news_script(name, offset)))
            return read_news(reading.text)
        except (CutoverError, ValueError) as error:
            tell(f"no news from {host}, trying again: {error}")
            return News(state=SILENT)

    def _unknown(self, job: DetachedJob, name: str, *, late: bool) -> UnknownError:
        why = f"it has not ended within {job.timeout}" if late else f"there was no news of it for {self.silence}"
        hint = f"It may go on there; its log is ~/.cutover/jobs/{name}/log."
        return UnknownError(f"Nobody knows the outcome of the job {name} on {job.host}: {why}.", hint=hint)


def read_news(text: str) -> News:
    """The news a script printed: a line `state code size`, then the bytes of the log. ValueError where it is none."""
    head, _, body = text.partition("\n")
    state, code, size = head.split()
    return News(state=state, code=int(code), size=int(size), text=body)


class _Log:
    """What was fetched of a log: told line by line, its end kept."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._rest = ""  # of a line that is not whole yet
        self.offset = 0  # bytes
        self.tail = ""

    def add(self, news: News) -> None:
        """Takes the next piece."""
        self.offset += news.size
        self.tail = (self.tail + news.text)[-TAIL:]
        *lines, self._rest = (self._rest + news.text).split("\n")
        if news.last and self._rest:
            lines.append(self._rest)
        for line in lines:
            if line.strip():
                self._tell(line)


def _ending(job: DetachedJob, name: str, news: News, log: _Log) -> Reading:
    if news.state != "exited":
        raise JobLost(f"The job {name} on {job.host} is gone and left no exit status.")
    return Reading(code=news.code, text=log.tail)


def start_script(name: str, command: str, exports: Mapping[str, str]) -> str:
    """A command that starts the job unless it was started before, and ends when it is known to have begun."""
    variables = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in exports.items())
    runner = variables + _filled(_RUN, name=name)
    return _in_sh(_START, name=name, command=shlex.quote(command), runner=shlex.quote(runner))


def news_script(name: str, offset: int) -> str:
    """A command that prints a job's state and its log from a byte on."""
    return _in_sh(_NEWS, name=name, offset=str(offset), chunk=str(CHUNK))


def _in_sh(script: str, **values: str) -> str:
    return f"sh -c {shlex.quote(_filled(script, **values))}"


def _filled(script: str, **values: str) -> str:
    return re.sub(r"@(\w+)@", lambda found: values[found[1]], script)


# The runner is the job's process: it claims the job, runs the command and leaves its exit status.
_RUN = """\
cd "$HOME/.cutover/jobs/@name@" || exit 1
echo "$$ $(cut -d' ' -f22 "/proc/$$/stat")" > "pid.$$"
ln "pid.$$" pid 2>/dev/null || { rm -f "pid.$$"; exit 0; }
rm -f "pid.$$"
folder=$PWD
cd "$HOME"
"${SHELL:-sh}" "$folder/command" > "$folder/log" 2>&1 < /dev/null
echo $? > "$folder/exit.new"
mv "$folder/exit.new" "$folder/exit"
"""

_START = """\
umask 077
mkdir -p "$HOME/.cutover/jobs/@name@" && cd "$HOME/.cutover/jobs/@name@" || exit 1
[ -e pid ] && exit 0
printf '%s\\n' @command@ > "command.$$" && mv "command.$$" command || exit 1
printf '%s\\n' @runner@ > "runner.$$" && mv "runner.$$" runner || exit 1
setsid sh ./runner > /dev/null 2>&1 < /dev/null &
tries=0
while [ ! -e pid ]; do
  tries=$((tries + 1))
  [ "$tries" -gt 100 ] && { echo "it did not begin within 10 s" >&2; exit 1; }
  sleep 0.1
done
"""

# The state is read before the size: a job that has exited has written all of its log. A process is the job's if it
# began when the job did; Z is one that is dead and only not yet buried.
_NEWS = """\
cd "$HOME/.cutover/jobs/@name@" 2>/dev/null || { echo "absent 0 0"; exit 0; }
state=absent code=0 size=0
if [ -e exit ]; then
  state=exited code=$(cat exit)
elif [ -e pid ]; then
  read -r pid since < pid
  set -- $(cat "/proc/$pid/stat" 2>/dev/null)
  state=lost
  [ "${22}" = "$since" ] && [ "$3" != Z ] && state=running
  [ -e exit ] && state=exited code=$(cat exit)
fi
[ -e log ] && size=$(($(wc -c < log) - @offset@))
[ "$size" -gt @chunk@ ] && size=@chunk@
echo "$state $code $size"
[ "$size" -gt 0 ] && tail -c +$((@offset@ + 1)) log | head -c "$size"
exit 0
"""
