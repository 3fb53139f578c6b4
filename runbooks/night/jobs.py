"""The detached jobs of an environment: listed, followed and stopped, from any machine and while a run is active."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from errors import AbortedError, CutoverError, UnknownError, UsageError
from formatting import clock_span
from inventory.load import refuse_if_down
from inventory.model import Environment
from runbooks.engine.live.jobs import RemoteJobs
from runbooks.engine.live.running_jobs import RunningJob
from runbooks.engine.model.redactor import redactor_for
from runbooks.engine.run.fanout import fan_out
from runbooks.night import files
from runbooks.night.live_ports import remote_jobs
from runbooks.night.run import Terminal

LONGEST = timedelta(days=3)  # for which a job is followed
AT_ONCE = 5  # hosts


def show_jobs(environment: Environment, terminal: Terminal) -> None:
    """Show which jobs run on which host, since when; UnknownError if a host can't report its jobs."""
    refuse_if_down(environment)
    console = terminal.console
    with redactor_for(environment).errors(), remote_jobs(environment, terminal.clock) as jobs:
        asks = [partial(_asked, jobs, host) for host in environment.hosts]
        answers = fan_out(asks, limit=AT_ONCE, on_interrupt=jobs.ssh.close)
    running = [job for answer in answers if not isinstance(answer, CutoverError) for job in answer]
    for job in running:
        console.say(_described(job), style="bold")
        console.say(f"  {job.line or 'it has written nothing yet'}")
    if running:
        console.say("inv cutover.attach HOST follows one, inv cutover.stop HOST ends one.", style="dim")
    if silent := [str(answer) for answer in answers if isinstance(answer, CutoverError)]:
        raise UnknownError("\n".join(["These hosts did not say what runs there:", *(f"  - {line}" for line in silent)]))
    if not running:
        console.say("No job is running on any host.")


def attach_to(environment: Environment, terminal: Terminal, host: str, name: str) -> None:
    """Follow a job to its end, from the last lines of its log; Ctrl-C leaves it running.

    Raises CutoverError if the job fails, UnknownError if its end was not seen.
    """
    console = terminal.console
    _refuse_unknown(environment, host)
    with redactor_for(environment).errors(), remote_jobs(environment, terminal.clock) as jobs:
        job = _only(jobs, host, name)
        console.say(f"{job} on {host}, for {clock_span(job.runs)}: {job.command}", style="bold")
        try:
            ended = jobs.attach(job, LONGEST, console.say)
        except KeyboardInterrupt:
            console.say("\nNo longer followed; the job goes on.")
            return
    if ended.code != 0:
        raise CutoverError(f"{job} on {host} ended with exit code {ended.code}.")
    console.say(f"{job} on {host} ended with exit code 0.", style="green")


def stop_job(environment: Environment, terminal: Terminal, host: str, name: str) -> None:
    """Stop a job with all its processes, once its host's name is typed; the job's log says who stopped it.

    Raises UsageError without a terminal, AbortedError if something else is typed, UnknownError if it still runs.
    """
    console = terminal.console
    if not terminal.person.present:
        raise UsageError("Stopping a job asks a person, and there is no terminal.", hint="Run it in a terminal.")
    _refuse_unknown(environment, host)
    with redactor_for(environment).errors(), remote_jobs(environment, terminal.clock) as jobs:
        job = _only(jobs, host, name)
        console.warn(f"{job} on {host} (process {job.pid}, for {clock_span(job.runs)}): {job.command}")
        if job.line:
            console.say(f"  It last said: {job.line}")
        who = files.at_work(environment)
        if who:
            console.say(f"  At work in {environment.name}: {who}. A run that follows this job will see it as lost.")
        if console.typed(f"  Type the host's name ({host}) to stop it: ") != host:
            raise AbortedError("That is not its name: nothing was stopped.")
        _stop(jobs, job)
    console.say(f"{job} on {host} is stopped: none of its processes is left.", style="green")
    if job.date and not who:
        console.say(f"inv cutover.resume --date={job.date} settles its step by its proof, and goes on.")


def _stop(jobs: RemoteJobs, job: RunningJob) -> None:
    state = jobs.stop(job.host, job.name)
    if state.running:
        raise UnknownError(
            f"Stopping {job} on {job.host} failed: process {state.pid} is still there.",
            hint=f"On {job.host}, see: ps -s {state.pid} -o pid,stat,wchan,args",
        )


def _only(jobs: RemoteJobs, host: str, name: str) -> RunningJob:
    """Return the one job on the host, or the one of that name; UsageError if there is none, or more than one."""
    running = jobs.running(host)
    chosen = [job for job in running if name in ("", job.name, job.work)]
    if len(chosen) == 1:
        return chosen[0]
    names = ", ".join(job.name for job in running) or "none"
    if not chosen:
        raise UsageError(f"No such job is running on {host}; running there: {names}.")
    raise UsageError(f"{len(chosen)} jobs are running on {host}: {names}.", hint="Name one with --job.")


def _refuse_unknown(environment: Environment, host: str) -> None:
    refuse_if_down(environment)
    if host not in environment.hosts:
        raise UsageError(f"host: expected one of {', '.join(environment.hosts)}, got {host!r}.")


def _asked(jobs: RemoteJobs, host: str) -> tuple[RunningJob, ...] | CutoverError:
    try:
        return jobs.running(host)
    except CutoverError as error:
        return error


def _described(job: RunningJob) -> str:
    since = datetime.now(UTC) - job.runs
    return f"{job.host}: {job}, since {since:%Y-%m-%d %H:%M:%S} UTC ({clock_span(job.runs)})"
