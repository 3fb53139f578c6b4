"""Workers over a real broker: they leave the rows that one process leaves, whichever of them dies, and when."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archiver.runs import broker
from archiver.runs.celery import SILENCES, Celery
from errors import CutoverError
from inventory.load import ROOT
from inventory.model import Queue
from rehearsal.ports import free_ports
from rehearsal.waiting import await_condition
from tests import oracle, queues
from tests.inside import inv_inside
from tests.queues import PHASES
from tests.worlds import NIGHT, World, same, school_ids, sql

OVERLAY = "endpoints.yaml"  # of the rehearsal's inventory
SOME = (5, 13, 17, 25, 29, 33, 37, 41)


@pytest.fixture(scope="module")
def queue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Queue]:
    """A broker."""
    with queues.broker(tmp_path_factory.mktemp("queue")) as queue:
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
        phases.append(
            {row[0] for row in read(world, "SELECT DISTINCT state FROM archiver.archives WHERE kind = 'tenant'")}
        )
        verified += read(
            world, "SELECT id, key::bigint FROM archiver.archives WHERE kind = 'tenant' AND state = 'verified'"
        )
        for victim in victims:
            victim.kill()
        with queues.workers(world.environment, "") as [helper]:
            running.result()
            assert helper.stop() == 0

    same(expected, oracle.snapshot(world.dsns))
    assert phases == [set(PHASES)]
    assert len([line for line in said if "a worker was lost" in line]) == len(PHASES)
    assert sorted(read(world, units)) == [(1, 1), (2, len(PHASES))]
    records = read(
        world,
        "SELECT id, key::bigint AS tenant_id, state FROM archiver.archives WHERE kind = 'tenant' ORDER BY tenant_id",
    )
    assert [(school, state) for _, school, state in records] == [(school, "archived") for school in SOME]
    assert len(verified) == 1
    assert {*verified} <= {(number, school) for number, school, _ in records}  # not archived anew
    logged = read(world, "SELECT key::bigint FROM archiver.log WHERE act = 'archive' ORDER BY 1")
    assert logged == [(school,) for school in SOME]


def test_a_run_that_is_killed_is_finished_by_the_next_though_its_worker_is_still_at_work(
    world: World, queue: Queue
) -> None:
    world = queues.at(world, queue)
    expected = oracle.expected_after_archiving(world.dsns, SOME, "all")
    alive = "SELECT 1 FROM pg_stat_activity WHERE application_name LIKE 'killed by%' AND datname = current_database()"

    with queues.workers(world.environment, "stored") as [worker]:
        with queues.run_apart(world, SOME, "killed"):
            assert worker.still.wait(queues.PATIENCE)
        await_condition(lambda: not read(world, alive), doing="Waiting for the run's end", seconds=30)
        with queues.workers(world.environment, ""):
            world.archive_together(*SOME, engine=Celery(environment=world.environment, workers=4, say=print))

    same(expected, oracle.snapshot(world.dsns))
    logged = read(world, "SELECT key::bigint FROM archiver.log WHERE act = 'archive' ORDER BY 1")
    assert logged == [(school,) for school in SOME]


def test_an_operators_commands_start_workers_run_them_show_them_and_end_one_after_its_unit(
    world: World, queue: Queue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / OVERLAY).write_text(json.dumps(overlay(queues.at(world, queue), tmp_path)))
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path))
    night, all_schools = f"--date={NIGHT}", len(school_ids(world))
    assert "the broker redis://" in inv_inside(capsys, "archive.worker", "--check").out

    with ThreadPoolExecutor(1) as hand, started_worker() as first, started_worker() as second:
        for worker in (first, second):
            assert "waiting for units of rehearsal at redis://" in said_next(worker)
        running = hand.submit(inv_inside, capsys, "archive.all", night, "--here", "--engine=celery", "--workers=8")
        begun = said_next(first)
        first.terminate()
        rest = first.communicate(timeout=queues.PATIENCE)[0]
        done = running.result()
        second.terminate()
        assert second.wait(queues.PATIENCE) == 0
    status = json.loads(inv_inside(capsys, "archive.status", night, "--json").out)

    assert (done.code, first.returncode) == (0, 0), done
    assert re.fullmatch(r"unit \d: \d+ schools of shard_\d\n", begun)
    assert f"{begun.split(':')[0]}: ended\n" in rest
    [archived] = status["standings"]
    assert (archived["state"], archived["tenants"], status["waiting"], status["at_work"]) == (
        "archived",
        all_schools,
        0,
        [],
    )
    assert re.search(rf"\n  archived +{all_schools} ", inv_inside(capsys, "archive.status", night).out)


@contextmanager
def started_worker() -> Iterator[subprocess.Popen[str]]:
    """`inv archive.worker` as a process."""
    words = (sys.executable, "-u", "-m", "invoke", "archive.worker", "--env=rehearsal")
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()  # where the test failed before it ended


def said_next(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    return process.stdout.readline()


def overlay(world: World, folder: Path) -> dict[str, Any]:
    """Return an overlay by which the rehearsal's inventory names this world; no school is excluded."""
    environment = world.environment
    return {
        "databases": {name: {"connection": one.connection} for name, one in environment.databases.items()},
        "scratch": vars(environment.scratch),
        "store": {**vars(environment.store), "recipients": []},
        "queue": vars(environment.queue),
        "nights": {str(NIGHT): {"exclude": {"schools": []}}},
        "state": str(folder),
    }


def test_a_broker_that_is_down_is_reported_in_a_sentence(world: World) -> None:
    [port] = free_ports(1)
    world = queues.at(world, Queue(broker=f"redis://127.0.0.1:{port}"))
    engine = Celery(environment=world.environment, workers=2, say=print)

    with pytest.raises(CutoverError, match=rf"^Reaching the broker redis://127\.0\.0\.1:{port} failed: .*refused"):
        world.archive_together(*SOME, engine=engine)
    with pytest.raises(CutoverError, match=r"^Reaching the broker redis:"):
        broker.check_reachable(world.environment)
    with pytest.raises(CutoverError, match=r"^Reaching the broker redis:"):
        broker.serve(world.environment, lambda run, number: None, lambda: None)


def test_a_broker_that_requires_another_password_is_reported_without_it(world: World, queue: Queue) -> None:
    other = replace(queue, file=None)

    with pytest.raises(CutoverError, match=r"^Reaching the broker .* failed: Authentication required"):
        broker.send(queues.at(world, other).environment, "a run", [1])
    Path(queue.file or "").with_name("wrong").write_text("hunter22")
    other = replace(queue, file=str(Path(queue.file or "").with_name("wrong")))
    with pytest.raises(CutoverError, match=r"^Reaching the broker .* failed: ") as refused:
        broker.send(queues.at(world, other).environment, "a run", [1])
    assert "hunter22" not in f"{refused.value} {refused.value.hint}"


def test_a_queue_without_workers_is_reported_and_nothing_is_touched(world: World, queue: Queue) -> None:
    world = queues.at(world, queue)
    whole, said, errors = oracle.snapshot(world.dsns), list[str](), list[str]()
    engine = Celery(environment=world.environment, workers=2, say=said.append, patience=0.1)

    world.archive_together(*SOME, engine=engine, on_result=lambda one: errors.append(str(one.error)))

    assert len(said) == SILENCES - 1
    assert said[0].startswith(
        "No worker has taken a unit for 0 s. Start workers: inv archive.worker --env=rehearsal on"
    )
    assert errors == ["No worker has taken a unit for 1 s."] * len(SOME)
    same(whole, oracle.snapshot(world.dsns))


def test_without_celery_or_a_queue_or_its_password_nothing_begins(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CutoverError, match="rehearsal: no queue in the inventory"):
        broker.app(world.environment)
    environment = replace(world.environment, queue=Queue(broker="redis://queue", variable="CUTOVER_NOT_THERE"))
    with pytest.raises(CutoverError, match="password is missing: environment variable CUTOVER_NOT_THERE is empty"):
        broker.app(environment)
    monkeypatch.setenv("CUTOVER_NOT_THERE", "p@ss/word")
    assert broker.app(environment).connection_for_write().password == "p@ss/word"
    monkeypatch.setitem(sys.modules, "celery", None)  # as where it is not installed
    with pytest.raises(CutoverError, match="Celery is not installed on this machine"):
        broker.app(environment)
