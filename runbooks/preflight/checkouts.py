"""Each host that runs this tool: it must have the inventory, catalog and version of the machine that runs the night."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from inventory.model import Host, Role
from runbooks.engine.model.actions import DetachedJob, RemoteCommand
from runbooks.engine.model.preconditions import Precondition
from runbooks.engine.model.step import HostTask, Step
from runbooks.steps.context import NightContext
from runbooks.steps.scope import same_scope

ADVICE = "Give it the same inventory, catalog and version of this tool; inv archive.scope shows each host's own."


def same_here_and_there(night: NightContext, host: Host, steps: Sequence[Step]) -> Iterator[Precondition]:
    """Yield the check of a host that runs this tool; only the debug host can ask every database for the schools."""
    debug = Role.DEBUG in host.roles
    if debug or _runs_tool(night, host, steps):
        yield Precondition(check=same_scope(night, host, files=not debug), advice=ADVICE)


def _runs_tool(night: NightContext, host: Host, steps: Sequence[Step]) -> bool:
    tool = shlex.split(night.environment.tool)
    commands = (command for step in steps for task in step.tasks for command in _on(host.name, task))
    return any(command.split()[: len(tool)] == tool for command in commands)


def _on(host: str, task: HostTask) -> Iterator[str]:
    """Yield every command that a task runs, or has a person type, on a host."""
    every = (task.action, *(look for check in (*task.checks, *task.needs) for look in check.looks))
    yield from (each.command for each in every if isinstance(each, RemoteCommand | DetachedJob) and each.host == host)
    if task.host == host:
        yield from (line.removeprefix("$ ") for line in task.by_hand if line.startswith("$ "))
