"""Units in master: one worker has one, none outlives its run unseen, and what is verified is not done again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from archiver.checks.night_progress import progress
from archiver.postgres.session import DatabaseError
from archiver.postgres.tenants import Exclude, TenantFilter
from archiver.records.archive_request import ArchiveRequest
from archiver.runs import board, wire, worker
from archiver.runs.board import TRIES
from archiver.runs.context import Archiver
from archiver.runs.engines import MEMORY
from archiver.runs.prepare import prepare
from archiver.runs.units import Unit, UnitResult
from archiver.runs.wire import Job
from errors import LockedError, RefusedError
from inventory.catalog import DEFAULT_DEPTH
from inventory.scope import scope_of
from tests.worlds import NIGHT, YEAR, World, sql

RUN = "a run of the tests"
ORDER = ArchiveRequest(year=YEAR, depth=DEFAULT_DEPTH, night=NIGHT)
UNIT = Unit(shard="shard_3", tenant_ids=(25, 29), request=ORDER)


@pytest.fixture
def ours(world: World) -> Iterator[Archiver]:
    """The run's own sessions."""
    with world.archiver("the run") as archiver:
        yield archiver


@pytest.fixture
def worker_of(world: World) -> Iterator[Archiver]:
    """A worker's sessions."""
    with world.archiver("a worker") as archiver:
        yield archiver


@contextmanager
def running(archiver: Archiver, scope: str = "") -> Iterator[None]:
    """A run of one unit."""
    with archiver.databases.exclusive_lock(), board.living(archiver.databases.master, RUN):
        board.post(archiver.databases.master, RUN, [Job(unit=UNIT, memory=MEMORY, scope=scope)])
        yield


def test_a_unit_is_never_on_two_workers_and_once_only(ours: Archiver, worker_of: Archiver, world: World) -> None:
    with running(ours), world.archiver() as other:
        with board.taken(worker_of.databases.master, RUN, 1) as job:
            assert job == Job(unit=UNIT, memory=MEMORY)
            [seen] = board.unit_states(ours.databases.master, RUN, [1])
            assert (seen.taken, seen.takes, seen.ended) == (True, 1, None)
            with pytest.raises(LockedError, match="a worker by"), board.taken(other.databases.master, RUN, 1):
                pass
            board.end(worker_of.databases.master, RUN, 1, UnitResult(unit=UNIT))
        with pytest.raises(RefusedError, match="It is done"), board.taken(other.databases.master, RUN, 1):
            pass
        [seen] = board.unit_states(ours.databases.master, RUN, [1])
        assert not seen.taken
        assert seen.ended is not None


def test_a_unit_that_kills_its_workers_is_taken_no_more(ours: Archiver, worker_of: Archiver) -> None:
    with running(ours):
        for _ in range(TRIES):
            with board.taken(worker_of.databases.master, RUN, 1):
                pass
        with pytest.raises(RefusedError), board.taken(worker_of.databases.master, RUN, 1):
            pass


def test_a_unit_of_a_run_that_has_ended_is_not_taken(ours: Archiver, world: World) -> None:
    told: list[str] = []
    with running(ours):
        pass

    worker.perform(world.environment, told.append, RUN, 1)

    assert told == ["unit 1: skipped. Its run has ended."]
    assert progress(ours.databases, YEAR, NIGHT, TenantFilter()).begun == 0


@pytest.mark.parametrize("field", ["catalog", "version", ""])
def test_a_worker_refuses_a_unit_of_another_scope_and_says_what_differs(
    field: str, ours: Archiver, world: World
) -> None:
    said: list[str] = []
    sent = replace(scope_of(world.environment), **{field: "another"}).text if field else ""
    before = numbers(world)

    with running(ours, sent):
        worker.perform(world.environment, said.append, RUN, 1)
        [seen] = board.unit_states(ours.databases.master, RUN, [1])

    assert seen.ended is not None
    ended = wire.ended(UNIT, seen.ended)
    assert isinstance(ended.error, RefusedError)
    assert f"{field or 'version'}: {'another' if field else 'none'} sent, " in str(ended.error)
    assert (ended.outcomes, numbers(world)) == ([], before)


@pytest.mark.parametrize("alone", [True, False])
def test_a_starting_worker_ends_the_work_of_a_worker_whose_run_has_ended(
    ours: Archiver, worker_of: Archiver, world: World, alone: bool
) -> None:
    with world.archiver() as next_run:
        with running(ours):
            taken = board.taken(worker_of.databases.master, RUN, 1)
            taken.__enter__()
        with next_run.databases.exclusive_lock() if alone else next_run.databases.tenant_lock(13, "shard_3"):
            with pytest.raises(DatabaseError) as refused:
                prepare(worker_of, UNIT, MEMORY)
            assert refused.value.lost
            assert numbers(world) == {}
        taken.__exit__(None, None, None)


def test_verified_schools_are_not_done_again_by_the_next_worker(ours: Archiver, world: World) -> None:
    with ours.databases.exclusive_lock():
        assert {one.item for one in prepare(ours, Unit(shard="shard_3", tenant_ids=(25,), request=ORDER), MEMORY)}
        before = numbers(world)
        again = prepare(ours, UNIT, MEMORY)

    assert [one.item for one in again] == [29]
    assert before.items() < numbers(world).items()
    assert prepare(ours, UNIT, MEMORY) == []


def test_the_status_shows_schools_rows_and_bytes_by_state_and_the_workers(ours: Archiver, world: World) -> None:
    with world.archiver("somebody") as looking:
        no_worker = progress(looking.databases, YEAR, NIGHT, TenantFilter())
        with ours.databases.exclusive_lock():
            outcomes = prepare(ours, UNIT, MEMORY)
            found = progress(looking.databases, YEAR, NIGHT, TenantFilter(exclude=Exclude(tenants=frozenset({5}))))

    assert (no_worker.begun, no_worker.began, no_worker.per_minute, list(no_worker.at_work)) == (0, None, None, [])
    [verified] = found.standings
    assert (verified.state.value, verified.tenants, found.verified) == ("verified", 2, 2)
    assert (verified.rows, verified.size) == (sum(one.rows for one in outcomes), sum(one.size for one in outcomes))
    assert found.waiting == no_worker.waiting - 3
    assert (found.per_minute or 0) > 0
    [run] = found.at_work
    assert run.startswith("the run by ")
    assert found.to_json()["standings"][0]["state"] == "verified"


def numbers(world: World) -> dict[int, int]:
    """The number of each school's record."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT key::bigint, id FROM archiver.archives WHERE kind = 'tenant'")
        return dict(cursor.fetchall())
