"""Work that belongs on the debug host is sent there, and what it says is shown here."""

from __future__ import annotations

import shlex
import uuid
from datetime import timedelta
from pathlib import Path

from archiver.format import encryption
from archiver.postgres.operator import operator
from errors import CutoverError, ExitCode, UnknownError
from inventory.load import refuse_if_down
from inventory.model import Environment, Role
from runbooks.cli.self_command import tool_command
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import say
from runbooks.engine.live.executors import JobLost
from runbooks.engine.live.jobs import RemoteJobs
from runbooks.engine.live.ssh import Fleet
from runbooks.engine.model.actions import DetachedJob

LONGEST = timedelta(days=3)
# The help of --identity: a file there, because the identity itself goes over no link and onto no command line.
IDENTITY = "a file on the debug host that holds the age identity; without it CUTOVER_IDENTITY there"


class LeftThere(CutoverError):
    """The operator left; what was begun on the debug host goes on."""

    exit_code = ExitCode.INTERRUPTED


def followed(name: str) -> str:
    """How a job is followed and ended on its host, in words for whoever left it."""
    job = f"~/.cutover/jobs/{name}"
    return f"There `tail -f {job}/log` follows it, and `pkill -s $(cut -d' ' -f1 {job}/pid)` ends it."


def belongs_elsewhere(environment: Environment, *, here: bool) -> bool:
    """Whether this machine is not the debug host, by the name in its file; `here` says that it shall do."""
    return not here and own_name(environment) != environment.only(Role.DEBUG).name


def own_name(environment: Environment) -> str:
    """This machine's inventory name, empty where it has none."""
    try:
        return Path(environment.host_name_file).expanduser().read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def forward(environment: Environment, task: str, *words: str, **options: str | bool) -> int:
    """Runs a task of this tool on the debug host, detached from the link, and shows its lines; its exit code.

    Raises UnknownError where its end was not seen, and LeftThere at Ctrl-C, which it outlives.
    """
    refuse_if_down(environment)
    encryption.refuse_literal_identity(options.get("identity", ""))
    host = environment.only(Role.DEBUG)
    here = tool_command(environment, task, *words, here=True, yes_production=environment.production, **options)
    command = f"CUTOVER_OPERATOR={shlex.quote(operator())} {here}"
    name = f"{task}.{uuid.uuid4().hex[:12]}"
    say(f"on {host.name}: {task}")
    fleet = Fleet(environment.hosts, environment.ssh)
    try:
        job = DetachedJob(host=host.name, command=command, timeout=LONGEST)
        jobs = RemoteJobs(fleet, SystemClock(), silence=LONGEST)  # nothing could attach to it again
        return jobs.run(job, name, say).code
    except JobLost as error:
        raise UnknownError(str(error), hint="What it did is settled by the same command again.") from None
    except KeyboardInterrupt:
        raise LeftThere(f"Interrupted here, which does not stop {task} on {host.name}.", hint=followed(name)) from None
    finally:
        fleet.close()
