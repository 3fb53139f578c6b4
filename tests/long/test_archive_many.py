"""Many schools at once: one pass over each table finds what a pass for each school finds."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from archiver.checks.audit import audit
from archiver.delete import many as delete_many
from archiver.extract import many as extract_many
from archiver.extract.one import Extract, extract_one
from archiver.postgres import tenants
from archiver.postgres.session import DatabaseError
from archiver.postgres.tenants import Include, OwnDepths, Tenant, TenantFilter
from archiver.records import archive_record
from archiver.records.archive_request import ArchiveRequest
from archiver.runs.bulk_progress import expected, reporting_progress
from archiver.runs.context import Archiver
from archiver.runs.engines import Processes
from archiver.runs.eta import Eta
from archiver.runs.progress import Progress
from inventory.catalog import DEFAULT_DEPTH
from inventory.keys import Key
from rehearsal.waiting import await_condition
from tests import oracle
from tests.conftest import ROLE
from tests.worlds import DEPTHS, NIGHT, SHARDS, YEAR, World, overlook_everything, same, school_ids, sql

SOME = (5, 13, 17, 25, 29)


def schools_of(archiver: Archiver, shard: str) -> list[Tenant]:
    all_schools = tenants.every(archiver.databases.master, archiver.model.tenant)
    return [tenant for tenant in all_schools if tenant.shard == shard]


def reasons(world: World) -> set[str | None]:
    """The reasons for archives, in the records and in the log."""
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT reason FROM archiver.archives WHERE kind = 'tenant'"
            " UNION SELECT details ->> 'reason' FROM archiver.log WHERE act = 'archive'"
        )
        return {row[0] for row in cursor.fetchall()}


def rows_of(extract: Extract) -> Mapping[str, list[bytes]]:
    return {name: sorted(b"".join(rows.chunks()).splitlines()) for name, rows in extract.rows.items()}


@pytest.mark.parametrize("memory", [1 << 28, 2000])
def test_one_pass_extracts_for_each_school_the_rows_of_a_single_extraction(
    world: World, tmp_path: Path, memory: int
) -> None:
    with world.archiver() as archiver:
        for shard in SHARDS:
            placement, schools = archiver.databases.placement(shard), schools_of(archiver, shard)
            with (tmp_path / shard).open("w+b") as file:
                together = extract_many.extract_many(placement, archiver.model, schools, YEAR, file, memory)
                for school, found in zip(schools, together, strict=True):
                    alike(found, extract_one(placement, archiver.model, school, YEAR, tmp_path))


def alike(found: Extract, alone: Extract) -> None:
    assert rows_of(found) == rows_of(alone)
    assert {name: (one.rows, one.bytes) for name, one in found.manifest.members.items()} == {
        name: (one.rows, one.bytes) for name, one in alone.manifest.members.items()
    }
    assert all(found.manifest.highest[name] >= value for name, value in alone.manifest.highest.items())


@pytest.mark.parametrize("depth", DEPTHS)
def test_archiving_together_leaves_the_rows_that_one_by_one_leaves_and_all_come_back(world: World, depth: str) -> None:
    before, ids = oracle.snapshot(world.dsns), school_ids(world)
    chosen = [school for school in ids if school % 7]
    expected = oracle.expected_after_archiving(world.dsns, chosen, depth, before)
    strategies: list[str] = []

    only = Include(tenants=dict.fromkeys(chosen, "will not renew, OPS-510"))
    world.archive_together(*chosen, depth=depth, on_strategy=strategies.append, only=only)

    assert reasons(world) == {"will not renew, OPS-510"}
    same(expected, oracle.snapshot(world.dsns))
    with world.archiver() as archiver:
        audited = audit(archiver.databases, archiver.bucket, YEAR, NIGHT, TenantFilter(only=only))
    assert (audited.archived, audited.left, audited.missing, audited.elsewhere) == (len(chosen), {}, (), {})
    assert any("truncated" in strategy for strategy in strategies)
    with world.by_one_worker() as worker:
        worker.restore(*chosen)
    same(before, oracle.snapshot(world.dsns))


def test_schools_and_customers_have_depths_of_their_own_as_if_archived_one_depth_after_the_other(world: World) -> None:
    before = oracle.snapshot(world.dsns)
    with sql(world, "master") as cursor:
        cursor.execute("SELECT customer_id FROM schools WHERE id = 17")
        [(customer,)] = cursor.fetchall()
        cursor.execute("SELECT id FROM schools WHERE customer_id = %s AND id = ANY(%s)", (customer, list(SOME)))
        promoted = {row[0] for row in cursor.fetchall()} - {13}
    depths = {school: "promote" if school in promoted else "all" for school in SOME} | {13: "students"}
    own = OwnDepths(tenants={13: "students"}, customers={customer: "promote"})

    world.archive_together(*SOME, own_depths=own)

    together = oracle.snapshot(world.dsns)
    with world.archiver() as archiver:
        records = archive_record.of_year(archiver.databases.master, YEAR)
        as_said, otherwise = (
            audit(archiver.databases, archiver.bucket, YEAR, NIGHT, chosen, "all")
            for chosen in (TenantFilter(own_depths=own), TenantFilter())
        )
    assert {record.tenant_id: record.depth for record in records} == depths
    assert (as_said.left, as_said.otherwise) == ({}, {})
    assert otherwise.otherwise == {school: depth for school, depth in depths.items() if depth != "all"}
    with world.by_one_worker() as worker:
        worker.restore(*SOME)
        same(before, oracle.snapshot(world.dsns))
        for depth in ("all", "students", "promote"):
            schools = [school for school in SOME if depths[school] == depth]
            expected = oracle.expected_after_archiving(world.dsns, schools, depth)
            worker.archive(*schools, depth=depth)
            same(expected, oracle.snapshot(world.dsns))
    same(together, oracle.snapshot(world.dsns))


def test_worker_processes_leave_the_same_rows_also_when_one_is_killed(world: World) -> None:
    expected = oracle.expected_after_archiving(world.dsns, SOME, "all")
    engine = Processes(environment=world.environment, purpose="test", identity="", workers=2)
    killed: list[int] = []

    def kill_one() -> None:
        await_condition(lambda: bool(multiprocessing.active_children()), doing="Waiting for a worker", seconds=30)
        victim = multiprocessing.active_children()[0]
        victim.kill()
        killed.append(victim.pid or 0)

    killer = threading.Thread(target=kill_one)
    killer.start()
    world.archive_together(*SOME, engine=engine)
    killer.join()

    assert killed
    same(expected, oracle.snapshot(world.dsns))


def test_schools_that_there_is_no_time_for_are_archived_by_the_next_run(world: World) -> None:
    before, goal = oracle.snapshot(world.dsns), oracle.expected_after_archiving(world.dsns, SOME, "all")
    errors: list[str] = []

    world.archive_together(
        *SOME, until=datetime.now(UTC), on_result=lambda one: errors.append(str(one.error)) if one.error else None
    )
    assert len(errors) == len(SOME)
    assert "there is no time for it" in errors[0]
    same(before, oracle.snapshot(world.dsns))

    world.archive_together(*SOME, until=datetime.now(UTC) + timedelta(hours=1))
    same(goal, oracle.snapshot(world.dsns))


def test_another_process_shows_the_progress_of_a_run(world: World) -> None:
    told: list[Progress] = []
    with world.archiver() as archiver:
        schools = [one for one in schools_of(archiver, "shard_3") if one.id != 13]
        world.archive_together(*(one.id for one in schools))
        all_schools = [*schools, *(one for one in schools_of(archiver, "shard_3"))]
        request = ArchiveRequest(year=YEAR, depth=DEFAULT_DEPTH, night=NIGHT)
        pace = Eta(rows=expected(archiver.databases, all_schools), workers=1)
        with reporting_progress(archiver.databases, all_schools, request, pace, told.append, every=0.01):
            await_condition(lambda: bool(told), doing="Waiting for news", seconds=30)

    assert told[0].done == len(schools)
    assert told[0].rows > 100
    assert told[0].size > 1000
    assert told[0].left and told[0].left > timedelta()


def before_calling(monkeypatch: pytest.MonkeyPatch, name: str, act: Callable[[], None]) -> None:
    """Have another session write just before a part of the deletion; once."""
    original, acts = getattr(delete_many, name), [act]

    def wrapped(*args: object) -> object:
        if acts:
            acts.pop()()
        return original(*args)

    monkeypatch.setattr(delete_many, name, wrapped)


def write(world: World, database: str, statement: str) -> Callable[[], None]:
    def act() -> None:
        with sql(world, database) as cursor:
            cursor.execute(statement)
            assert cursor.rowcount > 0

    return act


@pytest.fixture
def classroom(world: World) -> int:
    """A classroom of school 13."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT min(id) FROM classrooms WHERE school_id = 13")
        return int(cursor.fetchall()[0][0])


def test_a_school_whose_rows_changed_stays_live_and_the_others_are_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch, classroom: int
) -> None:
    late = f"INSERT INTO enrollments (classroom_id, created_at, updated_at) VALUES ({classroom}, now(), now())"
    before_calling(monkeypatch, "empty_shard", write(world, shard_of(world, 13), late))
    outcomes: dict[Key, str] = {}

    world.archive_together(*SOME, on_result=lambda one: outcomes.update({one.item: str(one.error or "")}))

    assert {school for school, error in outcomes.items() if error} == {13}
    assert "shard.enrollments" in outcomes[13]
    assert "1 now" not in outcomes[13]
    expected = oracle.expected_after_archiving(world.dsns, [13], "all")
    world.archive_together(13)
    same(expected, oracle.snapshot(world.dsns))


def test_a_school_that_a_lock_delays_stays_verified_and_the_next_run_deletes_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = oracle.expected_after_archiving(world.dsns, SOME, "all")

    def locked() -> None:
        raise DatabaseError("Locking attempts failed: canceling statement due to lock timeout (55P03).", code="55P03")

    before_calling(monkeypatch, "empty_shard", locked)
    failed: list[Key] = []
    world.archive_together(*SOME, on_result=lambda one: failed.append(one.item) if one.error else None)

    with sql(world, "master") as cursor:
        cursor.execute("SELECT key::bigint, state FROM archiver.archives WHERE kind = 'tenant'")
        states = dict(cursor.fetchall())
    assert failed
    assert states == {school: "verified" if school in failed else "archived" for school in SOME}
    world.archive_together(*SOME)
    same(goal, oracle.snapshot(world.dsns))


def test_when_another_session_deleted_rows_meanwhile_each_school_is_deleted_singly_as_it_is_then(
    world: World, monkeypatch: pytest.MonkeyPatch, classroom: int
) -> None:
    goal = oracle.expected_after_archiving(world.dsns, SOME, "all")
    gone = (
        "DELETE FROM placement_attempts WHERE id = (SELECT min(a.id) FROM placement_attempts a JOIN placement_tests t"
        f" ON t.id = placement_test_id JOIN enrollments e ON e.id = t.enrollment_id WHERE classroom_id = {classroom})"
    )
    before_calling(monkeypatch, "empty_shard", write(world, shard_of(world, 13), gone))
    strategies: list[str] = []

    world.archive_together(*SOME, on_strategy=strategies.append)

    assert any(strategy.startswith("one by one") for strategy in strategies), strategies
    same(goal, oracle.snapshot(world.dsns))


def test_a_row_that_was_written_again_as_it_was_counts_as_unchanged(
    world: World, monkeypatch: pytest.MonkeyPatch, classroom: int
) -> None:
    expected = oracle.expected_after_archiving(world.dsns, SOME, "all")
    same_again = f"UPDATE enrollments SET status = status WHERE classroom_id = {classroom}"
    before_calling(monkeypatch, "empty_shard", write(world, shard_of(world, 13), same_again))

    world.archive_together(*SOME)

    same(expected, oracle.snapshot(world.dsns))


def test_the_shard_is_put_back_when_a_school_changes_in_master_after_its_shard_was_emptied(
    world: World, monkeypatch: pytest.MonkeyPatch, classroom: int
) -> None:
    expected = oracle.expected_after_archiving(world.dsns, [one for one in SOME if one != 13], "all")
    renamed = f"UPDATE classrooms SET name = 'changed late' WHERE id = {classroom}"
    before_calling(monkeypatch, "empty_master", write(world, "master", renamed))
    errors: list[str] = []

    world.archive_together(*SOME, on_result=lambda one: errors.append(str(one.error)) if one.error else None)

    [error] = errors
    assert "master.classrooms" in error
    assert "put back" in error
    assert oracle.difference(expected, oracle.snapshot(world.dsns)).count("changed late") == 1


def test_a_set_that_one_school_forbids_is_deleted_one_by_one(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with sql(world, "master") as cursor:
        cursor.execute(
            "CREATE TABLE charters (school_id integer REFERENCES schools); INSERT INTO charters VALUES (13);"
            f"ALTER TABLE charters OWNER TO {ROLE}"
        )
    overlook_everything(monkeypatch)  # which would have told of it
    outcomes: dict[Key, str] = {}
    strategies: list[str] = []

    world.archive_together(
        *SOME,
        on_strategy=strategies.append,
        on_result=lambda one: outcomes.update({one.item: str(one.error or "")}),
    )

    assert any("one by one" in strategy for strategy in strategies)
    assert {school for school, error in outcomes.items() if error} == {13}
    assert "put back" in outcomes[13]


def test_two_shards_that_cannot_be_deleted_as_sets_are_deleted_one_by_one(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = school_ids(world)
    pinned = {shard: next(school for school in ids if shard_of(world, school) == shard) for shard in SHARDS[:2]}
    chosen = [school for school in ids if shard_of(world, school) in pinned]
    for shard, school in pinned.items():
        pin(world, shard, school)
    going = [school for school in chosen if school not in pinned.values()]
    expected = oracle.expected_after_archiving(world.dsns, going, "all")
    overlook_everything(monkeypatch)  # which would have told of it
    failed: set[Key] = set()
    strategies: list[str] = []

    world.archive_together(
        *chosen,
        on_strategy=strategies.append,
        on_result=lambda one: failed.add(one.item) if one.error else None,
        engine=Processes(environment=world.environment, purpose="test", identity="", workers=2),
    )

    assert sum("one by one" in strategy for strategy in strategies) == len(pinned)
    assert failed == set(pinned.values())
    same(expected, oracle.snapshot(world.dsns))


def pin(world: World, shard: str, school: int) -> None:
    """Have a row that no catalog knows name one of a school's enrollments."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM classrooms WHERE school_id = %s", (school,))
        classrooms = [row[0] for row in cursor.fetchall()]
    with sql(world, shard) as cursor:
        cursor.execute(
            f"CREATE TABLE pins (enrollment_id bigint REFERENCES enrollments); ALTER TABLE pins OWNER TO {ROLE}"
        )
        cursor.execute(
            "INSERT INTO pins SELECT id FROM enrollments WHERE classroom_id = ANY(%s) LIMIT 1", (classrooms,)
        )
        assert cursor.rowcount == 1


def shard_of(world: World, school: int) -> str:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT shard FROM schools WHERE id = %s", (school,))
        return str(cursor.fetchall()[0][0])
