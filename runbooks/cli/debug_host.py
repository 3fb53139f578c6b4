"""Tasks that run on the debug host: sent there, detached from the link, and their output shown here."""

from __future__ import annotations

import re
import shlex
import uuid
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from archiver.format import encryption
from archiver.postgres.operator import operator
from errors import CutoverError, ExitCode, UnknownError, UsageError
from inventory.load import refuse_if_down
from inventory.model import Environment, Role
from runbooks.cli.self_command import tool_command
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import say, say_wrapped
from runbooks.engine.live.executors import JobLost
from runbooks.engine.live.jobs import RemoteJobs
from runbooks.engine.model.actions import DetachedJob

LONGEST = timedelta(days=3)
# Invoke reads the whole command line before it starts a task, so that after this nothing was begun. It ends with 1,
# which is no exit code of a task, and its words are the last line.
NOT_UNDERSTOOD = 1
UNKNOWN_WORD = re.compile(r"""No idea what (['"])(.+)\1 is!""")


class LeftThere(CutoverError):
    """The operator left; what was begun on the debug host continues."""

    exit_code = ExitCode.INTERRUPTED


def followed(environment: Environment, host: str, name: str) -> str:
    """Return how an operator who left a job can follow and end it."""
    words = f"{host} --job={name} --env={environment.name}"
    return f"inv cutover.attach {words} follows it, inv cutover.stop {words} ends it."


def belongs_elsewhere(environment: Environment, *, here: bool) -> bool:
    """Return True if this machine is not the debug host, by the name in its file; never with --here or without one."""
    host = environment.archiver_host
    return not here and host is not None and own_name(environment) != host.name


def own_name(environment: Environment) -> str:
    """Return this machine's inventory name, empty if it has none."""
    try:
        return Path(environment.host_name_file).expanduser().read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _show(line: str) -> None:
    """Print a line; a terminal wraps a sentence, but no row of a table, which is indented, and no JSON."""
    show = say if line.startswith((" ", "{")) else say_wrapped
    show(line)


@dataclass
class _Output:
    """The lines of a task elsewhere, shown as they come; the last one is held back if it is Invoke's parse error."""

    unknown: list[str] = field(default_factory=list)

    def __call__(self, line: str) -> None:
        self.release()
        if UNKNOWN_WORD.fullmatch(line.strip()):
            self.unknown.append(line)
        else:
            _show(line)

    def release(self) -> None:
        """Show a line that was held back."""
        while self.unknown:
            _show(self.unknown.pop())

    def refuse_other_version(self, host: str, task: str, code: int) -> None:
        """Raise UsageError if the host's tool did not know the task or an option; else show all lines."""
        word = UNKNOWN_WORD.fullmatch(self.unknown[-1].strip()) if self.unknown and code == NOT_UNDERSTOOD else None
        if word is None:
            self.release()
            return
        unknown = f"the task {task}" if word[2] == task else f"{word[2]} of {task}"
        hint = f"Install the version of this machine on {host}, too. Nothing was changed."
        raise UsageError(f"The version of this tool on {host} does not know {unknown}.", hint=hint)


def forward(environment: Environment, task: str, *words: str, **options: str | bool) -> int:
    """Run a task of this tool on the debug host, detached from the link, show its lines, and return its exit code.

    Raises UsageError if the tool there does not know the task or an option, UnknownError if its end was not seen, and
    LeftThere at Ctrl-C, which the task outlives.
    """
    from runbooks.engine.live.fleet import Fleet  # importing Fabric takes long, and a task that runs here needs none

    refuse_if_down(environment)
    encryption.refuse_literal_identity(options.get("identity", ""))
    host = environment.only(Role.DEBUG)
    command_line = tool_command(environment, task, *words, here=True, yes_production=environment.production, **options)
    name = f"{task}.{uuid.uuid4().hex[:12]}"
    say(f"on {host.name}: {task}")
    fleet, output = Fleet(environment.hosts, environment.ssh), _Output()
    try:
        command = f"CUTOVER_OPERATOR={shlex.quote(operator())} {command_line}"
        job = DetachedJob(host=host.name, command=command, timeout=LONGEST)
        jobs = RemoteJobs(fleet, SystemClock(), silence=LONGEST)  # nothing could attach to it again
        code = jobs.run(job, name, output).code
    except JobLost as error:
        raise UnknownError(str(error), hint="Run the same command again: it settles what was begun.") from None
    except KeyboardInterrupt:
        raise LeftThere(
            f"Interrupted here, which does not stop {task} on {host.name}.", hint=followed(environment, host.name, name)
        ) from None
    finally:
        fleet.close()
    output.refuse_other_version(host.name, task, code)
    return code
