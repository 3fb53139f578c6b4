"""Who prepares archives: the words of an operator, and `inv archive.worker`, which does it for somebody else's run."""

from __future__ import annotations

import os

from invoke.context import Context
from invoke.exceptions import Exit

from archiver.runs import broker
from archiver.runs.celery import Celery
from archiver.runs.engines import MEMORY, Engine, Processes
from archiver.runs.worker import work
from errors import UsageError
from inventory.model import Environment
from runbooks.cli.task import ENV, load_environment, parse_count, parse_size, task
from runbooks.engine.live.console import say

PROCESSES, CELERY = "processes", "celery"
HELP = {
    "engine": "processes (on one machine; the default), or celery: workers started by inv archive.worker anywhere",
    "workers": "how many prepare archives; as many as there are cores, if left out",
    "memory": "what each of them may take, such as 512MiB; 1GiB if left out",
}


def engine_of(
    environment: Environment, purpose: str, *, engine: str, workers: str, memory: str, identity: str
) -> Engine:
    """Who prepares archives, by an operator's words; UsageError where they mean nothing."""
    number = parse_count(workers, "--workers", 4) if workers else os.cpu_count() or 1
    each = parse_size(memory, "--memory") if memory else MEMORY
    if engine == CELERY:
        broker.queue_of(environment)
        return Celery(environment=environment, workers=number, memory=each, say=say)
    if engine not in ("", PROCESSES):
        raise UsageError(f"--engine: expected {PROCESSES} or {CELERY}, got {engine!r}.")
    return Processes(environment=environment, purpose=purpose, identity=identity, workers=number, memory=each)


@task(
    help={
        "look": "only look whether the broker answers from here",
        "env": ENV,
        "yes-production": "say it where the environment is production",
    }
)
def worker(context: Context, look: bool = False, env: str = "", yes_production: bool = False) -> None:
    """Prepare archives for `archive.all --engine=celery`, on this machine, unit by unit, until SIGTERM or Ctrl-C."""
    environment = load_environment(env, yes_production=yes_production, read_only=look)
    address = broker.queue_of(environment).broker
    if look:
        broker.check_reachable(environment)
        say(f"the broker {address} answers")
        return
    waiting = (
        f"waiting for units of {environment.name} at {address}; SIGTERM or Ctrl-C ends this after the unit at hand"
    )
    code = work(environment, say, lambda: say(waiting))
    if code:
        raise Exit(code=code)


tasks = (worker,)
