"""Engines that prepare archives, and `inv archive.worker`, which prepares them for another machine's run."""

from __future__ import annotations

import os

from invoke.exceptions import Exit

from archiver.runs import broker
from archiver.runs.celery import Celery
from archiver.runs.engines import MEMORY, Engine, Processes
from archiver.runs.worker import work
from inventory.model import Environment
from runbooks.cli.options import ACTS, CELERY, Option
from runbooks.cli.task import task
from runbooks.engine.live.console import say

CHECK = Option(name="check", help="only check that the broker is reachable", default=False, reads=True)


def engine_of(
    environment: Environment,
    purpose: str,
    *,
    engine: str | None,
    workers: int | None,
    memory: int | None,
    identity: str,
) -> Engine:
    """Return the engine that prepares archives; UsageError if it is Celery, and the inventory has no queue."""
    number, each = workers or os.cpu_count() or 1, memory or MEMORY
    if engine == CELERY:
        broker.queue_of(environment)
        return Celery(environment=environment, workers=number, memory=each, say=say)
    return Processes(environment=environment, purpose=purpose, identity=identity, workers=number, memory=each)


@task("archive.worker", CHECK, *ACTS)
def worker(environment: Environment, check: bool) -> None:
    """Prepare archives for `archive.all --engine=celery`, on this machine, unit by unit, until SIGTERM or Ctrl-C."""
    address = broker.queue_of(environment).broker
    if check:
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
