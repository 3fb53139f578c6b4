"""A month's batch: the trees of rows that stay, what of them is deleted, and the pace that it is done at."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import SHARD, TableName, resolve
from archiver.delete import batches, settle_month, skip_locked, throttle
from archiver.delete.batches import SliceProgress
from archiver.delete.skip_locked import Batch, SkipLocked
from archiver.delete.throttle import Throttle, lag
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema
from archiver.postgres.selection import SelectedRows
from archiver.postgres.session import Session
from archiver.records.state import State
from errors import UsageError
from inventory.catalog import Activity, Catalog, DepthRule, Table, Tenant
from tests.answering import Answering, asked, session
from tests.schemas import database

VISITS, STEPS = TableName(SHARD, "visits"), TableName(SHARD, "steps")
MODEL = resolve(
    Catalog(
        tenant=Tenant(noun="company", table="companies", key="id", title="name", shard="shard"),
        databases={
            "master": {"companies": Table(group="company")},
            "shard": {
                "visits": Table(group="visit", found_by=("company_id = master.companies.id",)),
                "steps": Table(group="visit", found_by=("visit_id = visits.id",)),
            },
        },
        depths={"all": DepthRule(start="companies")},
        activity={"visits": Activity(ended="ended_at", takes=("steps",))},
    )
)
SCHEMA = Schema(tables=database(visits="id, company_id", steps="id, visit_id").tables, types={})
RULES = Rules(model=MODEL)


def rows(*values: tuple[Any, ...], columns: tuple[str, ...] = ("id", "visit_id")) -> SelectedRows:
    return SelectedRows(identity=("id",), columns=columns, rows=list(values))


# Two trees: visit 1 with step 10, and visit 2 with steps 20 and 21.
BATCH = Batch(
    rows={VISITS: rows((1, 9), (2, 9), columns=("id", "company_id")), STEPS: rows((10, 1), (20, 2), (21, 2))},
    trees={VISITS: [0, 1], STEPS: [0, 1, 1]},
    lines={VISITS: [b"1\t9\n", b"2\t9\n"], STEPS: [b"10\t1\n", b"20\t2\n", b"21\t2\n"]},
)


def locks(placement: Placement, batch: Batch) -> SkipLocked:
    return SkipLocked(placement=placement, rules=RULES, batch=batch)


def at(answers: dict[str, Any]) -> Placement:
    sessions = {SHARD: session(answers)}
    return Placement(sessions=sessions, schemas={SHARD: SCHEMA}, shard="shard_1", other_shards=())


@pytest.mark.parametrize(
    ("locked", "changed", "stay"),
    [
        ([(10,), (20,), (21,)], {}, set()),
        ([(10,), (20,)], {}, {1}),  # another session has step 21, or it is gone
        ([(10,), (20,), (21,)], {(10, 1): b"10\t1 \n"}, {0}),  # it was written since
    ],
)
def test_a_tree_stays_if_one_of_its_rows_is_locked_or_changed(
    monkeypatch: pytest.MonkeyPatch, locked: list[tuple[int]], changed: dict[Any, bytes], stay: set[int]
) -> None:
    def copy(session: Session, table: TableName, shape: object, rows: SelectedRows, sink: Any) -> None:
        for row in rows.rows:
            sink.write(changed.get(row, "\t".join(map(str, row)).encode() + b"\n"))

    for name, answer in {"copy_in_order": copy, "recheck": lambda *_: None, "prove_shape": lambda *_: None}.items():
        monkeypatch.setattr(skip_locked, name, answer)
    server = at({"locking rows of shard.visits": [(1,), (2,)], "locking rows of shard.steps": locked})
    of_batch = locks(server, BATCH)
    decided = of_batch.unchanged(of_batch.lock())
    assert decided.stay == stay
    assert set(decided.rows[VISITS].identities()) == {1, 2} - {tree + 1 for tree in stay}


def test_keys_of_several_columns_are_locked_whole() -> None:
    server = at({"locking rows of shard.steps": [(10, 1)]})
    several = replace(rows((10, 1), (11, 1)), identity=("id", "visit_id"))
    assert locks(server, BATCH)._locked(STEPS, several).identities() == [(10, 1)]


@pytest.mark.parametrize(
    ("below", "stay"),
    [
        ([(10, 1, False), (20, 2, False), (21, 2, False)], set()),
        ([(10, 1, False), (20, 2, False), (22, 2, False)], {1}),  # step 22 came since
        ([(30, None, False)], set()),
    ],
)
def test_a_tree_stays_if_a_row_came_below_it(below: list[tuple[Any, ...]], stay: set[int]) -> None:
    server = at({"finding the rows of shard.steps": below})
    assert locks(server, BATCH)._trees_with_new_rows() == stay
    alone = Batch(rows={VISITS: BATCH.rows[VISITS]}, trees=BATCH.trees, lines=BATCH.lines)
    came = {key for row in below if (key := row[1]) is not None}
    assert locks(server, alone)._trees_with_new_rows() == {key - 1 for key in came}
    without_parents = Batch(rows={STEPS: BATCH.rows[STEPS]}, trees=BATCH.trees, lines=BATCH.lines)
    assert locks(server, without_parents)._trees_with_new_rows() == set()


def test_a_row_without_a_parent_came_below_none() -> None:
    batch = Batch(rows={VISITS: rows((None, 9), columns=("id", "company_id"))}, trees={VISITS: [0]}, lines={VISITS: []})
    server = at({"finding the rows of shard.steps": [(30, None, False)]})
    assert locks(server, batch)._trees_with_new_rows() == set()


def test_only_trees_that_do_not_stay_are_deleted_and_the_others_are_remembered() -> None:
    left = BATCH.without({1})
    assert {table.table: [row[0] for row in each.rows] for table, each in left.items()} == {
        "visits": [1],
        "steps": [10],
    }
    progress = batches._progress_after(at({}), BATCH, {1}, SliceProgress())
    assert progress.deleted == {"shard/visits.copy": 2, "shard/steps.copy": 3}
    assert progress.stayed == {"shard/visits.copy": ["2"], "shard/steps.copy": ["20", "21"]}


def test_the_keys_of_deleted_parents_are_kept_where_no_foreign_key_guards() -> None:
    gone = batches._gone(at({}), RULES, {VISITS: BATCH.rows[VISITS]})
    assert {str(link.child): keys for link, keys in gone.items()} == {"shard.steps": [1, 2]}
    assert batches._gone(at({}), RULES, {}) == batches._gone(at({}), RULES, {VISITS: rows()}) == {}


@pytest.mark.parametrize(
    ("marker", "deleted_rows", "written"),
    [
        (None, 0, ["deleted"]),  # no batch was committed: the slice is given up
        ({"went": {"a": 3}, "stayed": {"a": ["1", "2", "3"]}}, 0, ["recorded", "deleted"]),
        ({"went": {"a": 3}, "stayed": {"a": ["1"]}}, 2, ["recorded", "logged"]),
    ],
)
def test_a_slice_is_closed_as_its_marker_says(
    monkeypatch: pytest.MonkeyPatch, marker: Any, deleted_rows: int, written: list[str]
) -> None:
    acts: list[str] = []

    def recorded(*_: object) -> Any:
        acts.append("recorded")
        return SimpleNamespace(deleted_rows=deleted_rows)

    for name, answer in {
        "records.markers.read": lambda *_: marker,
        "records.slice_record.delete": lambda *_: acts.append("deleted"),
        "records.slice_record.deleted": recorded,
        "records.audit_log.log": lambda *_: acts.append("logged"),
    }.items():
        monkeypatch.setattr(f"archiver.{name}", answer)
    master = SimpleNamespace(transaction=lambda *, doing: nullcontext())
    placement: Any = SimpleNamespace(sessions={SHARD: None}, master=master)
    month = SimpleNamespace(month="2014-05", shard="shard_1")
    batches.close(placement, RULES, cast(Any, SimpleNamespace(month=month, deletion_act="", sha256="")))
    assert acts == written


def test_only_slices_of_which_a_marker_shows_a_deletion_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    months = [SimpleNamespace(state=state, name=state.value) for state in (State.VERIFIED, State.DELETING)]
    closed: list[str] = []
    answers: dict[str, Any] = {
        "records.month_record.interrupted": lambda *_: months,
        "records.month_record.archived": lambda *_: None,
        "records.markers.acts": lambda session, month: {"slice 1 went", "slice 2 went", "slice 2 restored"},
        "records.slice_record.pending": lambda master, month: [
            SimpleNamespace(
                tenant_id=number,
                name=f"{number} {month.name}",
                deletion_act=f"slice {number} went",
                restore_act=f"slice {number} restored",
            )
            for number in (1, 2, 3)
        ],
        "delete.settle_month.close": lambda placement, rules, tenant_slice: closed.append(tenant_slice.name),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(f"archiver.{name}", answer)
    locks: Any = SimpleNamespace(tenant_lock=lambda *_: nullcontext())
    settle_month.settle(locks, RULES, cast(Any, SimpleNamespace(master=None, shard="shard_1", sessions={SHARD: None})))
    assert closed == ["1 verified", "1 deleting", "2 deleting"]


class Clock:
    """A clock that moves as the run waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def monotonic(self) -> float:
        """Return the seconds."""
        return self.now

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(throttle, "time", clock)
    return clock


def pace(clock: Clock, **limits: Any) -> Throttle:
    stop: Any = SimpleNamespace(is_set=lambda: False, wait=clock.wait)
    return Throttle(stop=cast(threading.Event, stop), began=0.0, **limits)


def test_the_next_rows_wait_for_the_rate(clock: Clock) -> None:
    slow = pace(clock, rate=100)
    slow.wait(session())
    assert clock.waits == []
    slow.deleted(120)
    slow.wait(session())
    assert clock.waits == pytest.approx([0.5, 0.5, 0.2])
    slow.wait(session())
    assert len(clock.waits) == 3


def test_the_rate_holds_until_the_end_of_the_run(clock: Clock) -> None:
    slow = pace(clock, rate=1, seconds=1.0)
    slow.deleted(100)
    slow.wait(session())
    assert clock.now == 1.0
    assert slow.out_of_time
    assert not pace(clock).out_of_time


def lagging(*behind: int) -> Session:
    class Standby(Answering):
        def rows(self, query: object, args: Any = (), *, doing: str = "") -> Any:
            self.asked.append((doing, args))
            return [(1, 1, next(self.lags), "apangea")]

        lags = iter(behind)

    return cast(Session, Standby({}))


def test_a_run_waits_for_a_standby_that_is_too_far_behind(clock: Clock) -> None:
    pace(clock, max_lag=10).wait(lagging(30, 11, 10))
    assert clock.waits == [throttle.LOOK_AGAIN] * 2
    unlimited = lagging(30)
    pace(clock).wait(unlimited)
    assert asked(unlimited) == []


def test_a_role_that_does_not_see_the_standbys_is_refused() -> None:
    reading = "reading the standbys' lag"
    assert lag(session({reading: [(2, 2, 7, "apangea")]})) == 7
    assert lag(session({reading: [(0, 0, 0, "apangea")]})) == 0
    with pytest.raises(UsageError, match="may not read how far the standbys of shard_1") as refused:
        lag(session({reading: [(2, 1, 7, "apangea")]}))
    assert refused.value.hint == "GRANT pg_monitor TO apangea;"
