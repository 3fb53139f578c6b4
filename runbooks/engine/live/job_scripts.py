"""Shell scripts that start, follow, inspect and stop a detached job on its host, in plain sh.

`jobs.py` describes the files in a job's folder.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping

from runbooks.engine.model.probe_output import FAILURE

MOST_FAILURES = 3  # lines kept of those that report a failure above the end of a log
CHUNK = 64 * 1024  # bytes of log fetched at a time
BEHIND = 16 * CHUNK  # bytes of log still to fetch, above which only its failures and its end are
COMMAND, LINE, END = "command: ", "line: ", "cutover-jobs end"  # of a list of jobs


def start_script(name: str, command: str, exports: Mapping[str, str]) -> str:
    """Return a script that starts the job unless it was started before, and exits once the job has begun."""
    variables = "".join(f"export {key}={shlex.quote(value)}\n" for key, value in exports.items())
    runner = variables + _filled(_RUN, name=name)
    return _filled(_START, name=name, command=shlex.quote(command), runner=shlex.quote(runner))


def news_script(name: str, offset: int) -> str:
    """Return a script that prints a job's state and its log from a byte offset; of very much, failures and the end."""
    return _filled(_NEWS, name=name, offset=str(offset), chunk=str(CHUNK), behind=str(BEHIND))


def look_script(name: str) -> str:
    """Return a script that prints a job's state, exit status and process, then the last line of its log."""
    return _filled(_LOOK, name=name)


def list_script() -> str:
    """Return a script that prints the jobs that run on a host, as `running_jobs.py` reads them."""
    return _filled(_LIST)


def stop_script(name: str, operator: str = "") -> str:
    """Return a script that stops a job with all its processes, then prints its state as `look_script` does.

    The job's log says before that the operator stops it: a run that follows it reads that.
    """
    return _filled(_STOP, name=name, operator=shlex.quote(operator or "an operator"))


def _filled(script: str, **values: str) -> str:
    return re.sub(r"@(\w+)@", lambda match: values[match[1]], script)


# The runner is the job's process: it claims the job, runs the command and leaves its exit status, or none if the disk
# has no room for it.
_RUN = """\
cd "$HOME/.cutover/jobs/@name@" || exit 1
echo "$$ $(cut -d' ' -f22 "/proc/$$/stat")" > "pid.$$" && ln "pid.$$" pid 2>/dev/null || { rm -f "pid.$$"; exit 0; }
rm -f "pid.$$"
folder=$PWD
cd "$HOME"
sh "$folder/command" > "$folder/log" 2>&1 < /dev/null
echo $? > "$folder/exit.new" && mv "$folder/exit.new" "$folder/exit"
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
if [ -s exit ]; then
  state=exited code=$(cat exit)
elif [ -e pid ]; then
  read -r pid since < pid
  pid=${pid:-0}
  set -- $(cat "/proc/$pid/stat" 2>/dev/null)
  state=lost
  [ -n "$since" ] && [ "${22}" = "$since" ] && [ "$3" != Z ] && state=running
  [ -s exit ] && state=exited code=$(cat exit)
fi
"""

# The state is read before the size: a job that has exited has written all of its log.
_NEWS = f"""\
cd "$HOME/.cutover/jobs/@name@" 2>/dev/null || {{ echo "absent 0 @offset@ @offset@"; exit 0; }}
{_STATE}
from=@offset@ end=@offset@
[ -e log ] && end=$(($(wc -c < log)))
if [ $((end - from)) -gt @behind@ ]; then
  from=$((end - @chunk@))
fi
next=$((from + @chunk@))
[ "$next" -gt "$end" ] && next=$end
echo "$state $code $next $end"
if [ "$from" -gt @offset@ ]; then
  tail -c +$((@offset@ + 1)) log | head -c $((from - @offset@)) |
    tr -d '\\000' | grep {FAILURE} | head -n {MOST_FAILURES} | cut -c1-300
  echo "[$((from - @offset@)) bytes are left out here]"
fi
[ "$next" -gt "$from" ] && tail -c +$((from + 1)) log | head -c $((next - from))
exit 0
"""

_LOOK = f"""\
cd "$HOME/.cutover/jobs/@name@" 2>/dev/null || {{ echo "absent 0 0"; exit 0; }}
{_STATE}
echo "$state $code $pid"
[ -e log ] && tail -c 4096 log | tail -n 1 | tr '\\r' '\\n' | tail -n 1 | cut -c1-300
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
echo "0 0" > "pid.$$" && ln "pid.$$" pid 2>/dev/null
rm -f "pid.$$"
[ -e pid ] || {{ echo "there is no room to note that it may not begin any more" >&2; exit 1; }}
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
