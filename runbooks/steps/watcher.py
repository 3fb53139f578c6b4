"""System Watcher: it would raise the alarm all night, and restart what was stopped on purpose."""

from __future__ import annotations

from datetime import timedelta

from inventory.model import Host, Role
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import word
from runbooks.engine.model.step import Check, Debt, Mark, Step, Verdict, fails, holds
from runbooks.steps.context import NightContext, builds

RUNNING, STOPPED = "running", "stopped"


@builds("watcher.stop")
def stop(night: NightContext, key: str) -> Step:
    """Kill System Watcher."""
    tasks = [night.task(key, host, checks=(is_now(night, host, STOPPED),), owes=_debt(host)) for host in _hosts(night)]
    return Step(
        key=key,
        title="Kill System Watcher",
        mark=Mark.MANUAL,
        tasks=tuple(tasks),
        settle=timedelta(seconds=30),
        estimate=timedelta(minutes=2),
    )


@builds("watcher.start")
def start(night: NightContext, key: str) -> Step:
    """Enable System Watcher."""
    tasks = [night.task(key, host, checks=(is_now(night, host, RUNNING),), pays=_debt(host)) for host in _hosts(night)]
    return Step(
        key=key,
        title="Enable System Watcher",
        mark=Mark.MANUAL,
        tasks=tuple(tasks),
        settle=timedelta(seconds=30),
        estimate=timedelta(minutes=2),
    )


def is_now(night: NightContext, host: Host, expected: str) -> Check:
    """Return the check that the watcher on a host runs, or does not."""
    look = RemoteCommand(host=host.name, command=night.probes.watcher)

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        state = word(outputs[0], (RUNNING, STOPPED))
        sentence = f"System Watcher is {state}"
        return holds(sentence) if state == expected else fails(f"{sentence}, expected {expected}")

    return Check(title=f"System Watcher is {expected}", looks=(look,), judge=judge)


def _hosts(night: NightContext) -> tuple[Host, ...]:
    return night.environment.with_role(Role.WATCHER)


def _debt(host: Host) -> Debt:
    return Debt(what="System Watcher", where=host.name)
