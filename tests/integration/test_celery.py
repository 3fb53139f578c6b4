"""Workers over a real broker: what they leave is what one process leaves, whoever of them dies, and when."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from archiver.bulk.celery_engine import Celery
from inventory.model import Queue
from tests import oracle, queues
from tests.worlds import World, same

SOME = (5, 13, 17, 25, 29)


@pytest.fixture(scope="module")
def queue() -> Iterator[Queue]:
    """A broker."""
    with queues.broker() as queue:
        yield queue


def test_workers_leave_what_one_process_leaves(world: World, queue: Queue) -> None:
    world = queues.at(world, queue)
    expected = oracle.expected_after_archiving(world.dsns, SOME, "all")
    engine = Celery(environment=world.environment, workers=2, say=print)

    with queues.workers(world.environment, 2):
        world.archive_together(*SOME, engine=engine)

    same(expected, oracle.snapshot(world.dsns))
