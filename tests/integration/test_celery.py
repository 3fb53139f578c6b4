"""Workers over a real broker: what they leave is what one process leaves, whoever of them dies, and when."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from archiver.bulk import broker
from archiver.bulk.celery_engine import SILENCES, Celery
from errors import CutoverError
from inventory.model import Queue
from rehearsal.ports import free_ports
from tests import oracle, queues
from tests.queues import PHASES
from tests.worlds import World, same, sql

SOME = (5, 13, 17, 25, 29, 33, 37, 41)


@pytest.fixture(scope="module")
def queue() -> Iterator[Queue]:
    """A broker."""
    with queues.broker() as queue:
        yield queue


def read(world: World, query: str) -> list[tuple[Any, ...]]:
    with sql(world, "master") as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def test_units_of_workers_that_are_killed_are_taken_over_in_each_phase_and_nothing_is_done_twice(
    world: World, queue: Queue
) -> None:
    world = queues.at(world, queue)
    expected = oracle.expected_after_archiving(world.dsns, SOME, "all")
    said: list[str] = []
    phases, verified, units = list[set[str]](), list[Any](), "SELECT takes, count(*) FROM archiver.units GROUP BY 1"

    def run() -> None:
        world.archive_together(*SOME, engine=Celery(environment=world.environment, workers=4, say=said.append))

    with ThreadPoolExecutor(1) as hand, queues.workers(world.environment, *PHASES) as victims:
        running = hand.submit(run)
        for victim in victims:
            assert victim.still.wait(queues.PATIENCE)
        phases.append({row[0] for row in read(world, "SELECT DISTINCT state FROM archiver.records")})
        verified += read(world, "SELECT id, tenant_id FROM archiver.records WHERE state = 'verified'")
        for victim in victims:
            victim.kill()
        with queues.workers(world.environment, "") as [helper]:
            running.result()
            assert helper.stop() == 0

    same(expected, oracle.snapshot(world.dsns))
    assert phases == [set(PHASES)]
    assert len([line for line in said if "a worker was lost" in line]) == len(PHASES)
    assert sorted(read(world, units)) == [(1, 1), (2, len(PHASES))]
    records = read(world, "SELECT id, tenant_id, state FROM archiver.records ORDER BY tenant_id")
    assert [(school, state) for _, school, state in records] == [(school, "archived") for school in SOME]
    assert len(verified) == 1
    assert {*verified} <= {(number, school) for number, school, _ in records}  # not archived anew
    logged = read(world, "SELECT tenant_id FROM archiver.log WHERE act = 'archive' ORDER BY 1")
    assert logged == [(school,) for school in SOME]


def test_a_broker_that_is_down_is_said_in_a_sentence(world: World) -> None:
    [port] = free_ports(1)
    world = queues.at(world, Queue(broker=f"redis://127.0.0.1:{port}"))
    engine = Celery(environment=world.environment, workers=2, say=print)

    with pytest.raises(CutoverError, match=rf"^Reaching the broker redis://127\.0\.0\.1:{port} failed: .*refused"):
        world.archive_together(*SOME, engine=engine)
    with pytest.raises(CutoverError, match=r"^Reaching the broker"):
        broker.serve(world.environment, lambda run, number: None, lambda: None)


def test_where_no_worker_is_that_is_said_and_in_the_end_nothing_was_touched(world: World, queue: Queue) -> None:
    world = queues.at(world, queue)
    whole, said, errors = oracle.snapshot(world.dsns), list[str](), list[str]()
    engine = Celery(environment=world.environment, workers=2, say=said.append, patience=0.1)

    world.archive_together(*SOME, engine=engine, tell=lambda one: errors.append(str(one.error)))

    assert len(said) == SILENCES - 1
    assert said[0].startswith(
        "No worker has taken a unit for 0 s. Start workers: inv archive.worker --env=rehearsal on"
    )
    assert errors == ["No worker has taken a unit for 1 s."] * len(SOME)
    same(whole, oracle.snapshot(world.dsns))


def test_without_a_queue_or_its_password_nothing_begins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CutoverError, match="rehearsal: no queue in the inventory"):
        broker.app(world.environment)
    nobody = replace(world.environment, queue=Queue(broker="redis://queue", variable="CUTOVER_NOT_THERE"))
    with pytest.raises(CutoverError, match="password is missing: environment variable CUTOVER_NOT_THERE is empty"):
        broker.app(nobody)
    monkeypatch.setenv("CUTOVER_NOT_THERE", "p@ss/word")
    assert broker.app(nobody).connection_for_write().password == "p@ss/word"
