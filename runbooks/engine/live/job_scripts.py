"""Shell scripts that start, follow, inspect and stop a detached job on its host, in plain sh.

`jobs.py` describes the files in a job's folder.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

CHUNK = 64 * 1024  # bytes of log fetched at a time
COMMAND, LINE, END = "command: ", "line: ", "cutover-jobs end"  # of a list of jobs


def start_script(name: str, command: str, exports: Mapping[str, str]) -> str:
    """Return a command that starts the job unless it was started before, and exits once the job has begun."""
    variables = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in exports.items())
    runner = variables + _filled(_RUN, name=name)
    return _in_sh(_START, name=name, command=shlex.quote(command), runner=shlex.quote(runner))


def news_script(name: str, offset: int) -> str:
    """Return a command that prints a job's state and its log from a byte offset."""
    return _in_sh(_NEWS, name=name, offset=str(offset), chunk=str(CHUNK))


def look_script(name: str) -> str:
    """Return a command that prints a job's state, exit status and process, then the last line of its log."""
    return _in_sh(_LOOK, name=name)


def list_script() -> str:
    """Return a command that prints the jobs that run on a host, as `running_jobs.py` reads them."""
    return _in_sh(_LIST)


def stop_script(name: str, operator: str = "") -> str:
    """Return a command that stops a job with all its processes, then prints its state as `look_script` does.

    The job's log says before that the operator stops it: a run that follows it reads that.
    """
    return _in_sh(_STOP, name=name, operator=shlex.quote(operator or "an operator"))


def _in_sh(script: str, **values: str) -> str:
    return f"sh -c {shlex.quote(_filled(script, **values))}"


def _filled(script: str, **values: str) -> str:
    return re.sub(r"@(\w+)@", lambda match: values[match[1]], script)


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

# A job's name can be guessed: what it runs is written only where no one else can put a file.
_FOLDER = """\
umask 077
mkdir -p "$HOME/.cutover/jobs/@name@" && cd "$HOME/.cutover/jobs/@name@" || exit 1
if ! [ -O . ] || ! [ -O .. ] || [ -n "$(find . .. -prune -perm -002)" ]; then
  echo "$PWD is no folder of this user alone; nothing was written" >&2
  exit 1
fi
chmod 700 . ..
"""

_START = f"""\
{_FOLDER}
[ -e pid ] && exit 0
printf '%s\\n' @command@ > "command.$$" && mv "command.$$" command || exit 1
printf '%s\\n' @runner@ > "runner.$$" && mv "runner.$$" runner || exit 1
setsid sh ./runner > /dev/null 2>&1 < /dev/null &
tries=0
while [ ! -e pid ]; do
  tries=$((tries + 1))
  [ "$tries" -gt 100 ] && {{ echo "it did not begin within 10 s" >&2; exit 1; }}
  sleep 0.1
done
"""

# A process is the job's if it began when the job did; state Z is a zombie, which is dead already.
_STATE = """\
state=absent code=0 pid=0
if [ -e exit ]; then
  state=exited code=$(cat exit)
elif [ -e pid ]; then
  read -r pid since < pid
  set -- $(cat "/proc/$pid/stat" 2>/dev/null)
  state=lost
  [ "${22}" = "$since" ] && [ "$3" != Z ] && state=running
  [ -e exit ] && state=exited code=$(cat exit)
fi
"""

# The state is read before the size: a job that has exited has written all of its log.
_NEWS = f"""\
cd "$HOME/.cutover/jobs/@name@" 2>/dev/null || {{ echo "absent 0 0"; exit 0; }}
{_STATE}
size=0
[ -e log ] && size=$(($(wc -c < log) - @offset@))
[ "$size" -gt @chunk@ ] && size=@chunk@
echo "$state $code $size"
[ "$size" -gt 0 ] && tail -c +$((@offset@ + 1)) log | head -c "$size"
exit 0
"""

_LOOK = f"""\
cd "$HOME/.cutover/jobs/@name@" 2>/dev/null || {{ echo "absent 0 0"; exit 0; }}
{_STATE}
echo "$state $code $pid"
[ -e log ] && tail -n 1 log
exit 0
"""

# The second `tail` shows a line of progress that is written over itself.
_LIST = f"""\
cd "$HOME/.cutover/jobs" 2>/dev/null || {{ echo "{END}"; exit 0; }}
now=$(date +%s)
for name in *; do
  [ -e "$name/pid" ] && ! [ -e "$name/exit" ] || continue
  (
    cd "$name" || exit
    {_STATE}
    [ "$state" = running ] || exit 0
    size=0 last=0
    [ -e log ] && size=$(($(wc -c < log))) && last=$(($(head -c "$size" log | tail -n 20 | wc -c)))
    echo "cutover-job $name $pid $((now - $(stat -c %Y pid))) $((size - last))"
    printf '{COMMAND}%s\\n' "$(head -n 1 command | cut -c1-300)"
    [ -e log ] && printf '{LINE}%s\\n' "$(tail -n 1 log | tr '\\r' '\\n' | tail -n 1 | cut -c1-300)"
  )
done
echo "{END}"
exit 0
"""

# A job that has not begun never will: the claim is taken. INT comes first because it makes vacuumdb and its like cancel
# their server's work. The job leads a session of its own; its id is not reused while a process of the session lives.
_STOP = f"""\
{_FOLDER}
echo "0 0" > "pid.$$" && {{ ln "pid.$$" pid 2>/dev/null; rm -f "pid.$$"; }}
living() {{
  cat /proc/[0-9]*/stat 2>/dev/null | sed -n "s/^\\([0-9]*\\) (.*) [^Z] [0-9-]* [0-9-]* $pid .*/\\1/p"
}}
{_STATE}
if [ "$state" = running ]; then
  printf '\n%s stops this job, %s UTC\n' @operator@ "$(date -u '+%Y-%m-%d %H:%M:%S')" >> log
  for signal in INT TERM KILL; do
    tries=20
    [ "$signal" = INT ] && tries=5
    kill -s "$signal" $(living) 2>/dev/null
    while [ -n "$(living)" ] && [ "$tries" -gt 0 ]; do
      tries=$((tries - 1))
      sleep 0.2
    done
  done
  [ -n "$(living)" ] && {{ echo "running 0 $pid"; exit 0; }}
  {_STATE}
fi
echo "$state $code $pid"
"""
