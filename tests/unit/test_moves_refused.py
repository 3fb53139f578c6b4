"""Refusals of a move between shards, and of what ends it, by values."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import MASTER, SHARD, Link, TableName
from archiver.postgres.selection import SelectedRows, Selection
from archiver.records.move_record import Route
from archiver.records.settlement import Seen
from archiver.records.state import State
from archiver.reshard import move, preview, settle
from errors import RefusedError
from tests.answering import SCHOOLS, master_of

ROUTE = Route(verb="merge", source="shard_1", target="shard_2")


def refuses(sentence: str) -> AbstractContextManager[Any]:
    """Expect a refusal with this sentence; none if it is empty."""
    return pytest.raises(RefusedError, match=sentence) if sentence else nullcontext()


def at_work(*, schools: dict[int, str] | None = None, needs: tuple[Link, ...] = ()) -> Any:
    model = SimpleNamespace(tenant=SCHOOLS, external_links=needs)
    databases = SimpleNamespace(master=master_of(schools or {}), session=lambda name: name)
    return SimpleNamespace(model=model, databases=databases)


@pytest.mark.parametrize(
    ("schools", "sentence"),
    [({13: "shard_1"}, ""), ({13: "shard_2"}, "School 13 is no longer on shard_1"), ({}, "School 13 is no longer on")],
)
def test_a_tenant_that_left_the_source_is_not_moved(schools: dict[int, str], sentence: str) -> None:
    with refuses(sentence):
        move._check_shard(at_work(schools=schools), cast(Any, SimpleNamespace(id=13)), ROUTE)


VISITS, ROOMS = TableName(SHARD, "visits"), TableName(MASTER, "rooms")


def selected(*rows: int) -> Selection:
    found = SelectedRows(identity=("id",), columns=("id",), rows=[(row,) for row in rows])
    return Selection(by_table={VISITS: found}, values={})


@pytest.mark.parametrize(
    ("state", "shared", "needs", "there", "sentence"),
    [
        (State.VERIFIED, {ROOMS}, (Link(ROOMS, (), ROOMS, ()),), (), ""),
        (State.DELETING, (), (), (), "it is deleting for 2013"),
        (State.RESTORING, (), (), (), "it is restoring for 2013"),
        (None, {VISITS, ROOMS}, (), (), r"several schools may share rows of shard\.visits\."),
        (None, (), (Link(VISITS, (), ROOMS, ()), Link(ROOMS, (), ROOMS, ())), (), r"share rows of shard\.visits\."),
        (None, (), (), (1, 2), r"rows of it are already on shard_2: shard\.visits \(2\)"),
    ],
)
def test_a_move_that_would_leave_a_row_on_both_shards_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    state: State | None,
    shared: Any,
    needs: tuple[Link, ...],
    there: tuple[int, ...],
    sentence: str,
) -> None:
    records = [SimpleNamespace(state=state, year=2013)] if state else []
    monkeypatch.setattr("archiver.records.archive_record.of_tenant", lambda *_: records)
    monkeypatch.setattr(move, "sharable", lambda model, schemas: set(shared))
    side: Any = SimpleNamespace(placement=SimpleNamespace(schemas={}), rows=lambda: selected(*there))
    route: Any = SimpleNamespace(tenant=SimpleNamespace(id=13), source=side, target=side)
    with refuses(sentence):
        for refusal in move.refusals(at_work(needs=needs), route, ROUTE):
            raise refusal


def test_nothing_is_written_of_a_move_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    planned: list[str] = []
    monkeypatch.setattr(move, "_check_shard", lambda *_: None)
    monkeypatch.setattr(move, "route_of", lambda *_: None)
    monkeypatch.setattr(move, "refusals", lambda *_: iter([RefusedError("Rows are there."), RefusedError("Another.")]))
    monkeypatch.setattr("archiver.records.move_record.plan", lambda *_: planned.append("planned"))
    monkeypatch.setattr(move, "new_location", lambda *_: "")
    with refuses("Rows are there"):
        move.move(at_work(), cast(Any, SimpleNamespace(id=13)), ROUTE, 2013, cast(Any, None))
    assert planned == []


@pytest.mark.parametrize(
    ("in_two_shards", "route", "blocked"),
    [(True, ROUTE, False), (True, replace(ROUTE, verb="split"), True), (False, replace(ROUTE, verb="split"), False)],
)
def test_a_preview_names_a_half_move_of_another_route(in_two_shards: bool, route: Route, blocked: bool) -> None:
    left: Any = SimpleNamespace(
        in_two_shards=in_two_shards, route=ROUTE, rows={}, offsets=(), command="inv shards.merge"
    )
    shown = preview._of_interrupted(left, route)
    assert shown.in_the_way == (("it is half moved, which ends first: inv shards.merge",) if blocked else ())
    assert isinstance(shown.done.error, RefusedError) is blocked


@pytest.mark.parametrize(
    ("state", "members", "held", "acts"),
    [
        (State.SWITCHED, True, True, ["ended"]),  # the rows are not asked: master names the target
        (State.LOADING, True, True, ["withdrawn"]),
        (State.LOADING, True, False, ["ended"]),
        (State.PLANNED, False, False, ["withdrawn"]),  # nothing was stored yet
    ],
)
def test_an_interrupted_move_is_withdrawn_where_the_source_holds_the_rows(
    monkeypatch: pytest.MonkeyPatch, state: State, members: bool, held: bool, acts: list[str]
) -> None:
    done: list[str] = []
    monkeypatch.setattr(settle, "_trace", lambda *_: Seen.NOTHING)
    monkeypatch.setattr(settle, "_taken_back", lambda *_: held)
    monkeypatch.setattr(settle, "end", lambda *_: done.append("ended"))
    monkeypatch.setattr("archiver.records.move_record.withdrawn", lambda *_: done.append("withdrawn"))
    settle.settle_move(at_work(), cast(Any, SimpleNamespace(state=state, members=members)))
    assert done == acts


def test_rows_that_differ_are_neither_moved_nor_deleted() -> None:
    left: Any = SimpleNamespace(tenant_id=13, route=ROUTE, location="s3://a/13")
    move._refuse_different(at_work(), left, [], "they changed")
    settle._refuse_changed(at_work(), left, "shard_1", [])
    with refuses("Moving school 13 refused, they changed: shard.visits"):
        move._refuse_different(at_work(), left, ["shard.visits"], "they changed")
    with refuses("Deleting school 13 from shard_1 refused: its rows there are not those that were moved: shard.visits"):
        settle._refuse_changed(at_work(), left, "shard_1", ["shard.visits"])


@pytest.mark.parametrize(
    ("plain", "problems", "sentence"), [(True, (), ""), (False, (), "differ"), (True, ("x",), "differ")]
)
def test_shards_with_other_tables_take_no_move(
    monkeypatch: pytest.MonkeyPatch, plain: bool, problems: tuple[str, ...], sentence: str
) -> None:
    mapping = SimpleNamespace(problems=problems, lost={}, tables=(SimpleNamespace(plain=plain),))
    monkeypatch.setattr("archiver.load.fit.mapped", lambda *_: {SHARD: mapping})
    monkeypatch.setattr(move, "renumbered", lambda *_: mapping)
    placements = [SimpleNamespace(shard=name, schemas={SHARD: None}) for name in ("shard_1", "shard_2")]
    route, archive = cast(Any, SimpleNamespace(placements=placements)), cast(Any, SimpleNamespace(manifest=None))
    with refuses(sentence):
        assert move.incoming_archive(at_work(), route, (), archive).mappings


def test_a_failed_move_is_withdrawn_unless_master_names_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    states = (State.PLANNED, State.SWITCHED)
    moves = [SimpleNamespace(state=state) for state in states]
    withdrawn: list[State] = []
    monkeypatch.setattr("archiver.records.move_record.interrupted", lambda *_: moves)
    monkeypatch.setattr(move, "settle_move", lambda archiver, left: withdrawn.append(left.state))
    move._step_back(at_work(), cast(Any, SimpleNamespace(tenant_id=13)))
    assert withdrawn == [State.PLANNED]


@pytest.mark.parametrize(
    ("marked", "sentence"),
    [
        ((), ""),
        (("shard_2", "moved in"), "shard_2 shows that school 13 was moved in, and master has no record"),
        (("shard_1", "moved out"), "shard_1 shows that school 13 was moved out"),
    ],
)
def test_a_move_of_which_master_knows_no_rows_is_refused_if_it_took_place(
    monkeypatch: pytest.MonkeyPatch, marked: tuple[str, ...], sentence: str
) -> None:
    withdrawn: list[Any] = []
    monkeypatch.setattr("archiver.records.markers.acts", lambda shard, move: {marked[1]} if shard in marked else set())
    monkeypatch.setattr("archiver.records.move_record.withdrawn", lambda master, left: withdrawn.append(left))
    left: Any = SimpleNamespace(
        state=State.PLANNED, source="shard_1", target="shard_2", tenant_id=13, location="s3://a/13", members={}
    )
    with refuses(sentence):
        settle.settle_move(at_work(), left)
    assert withdrawn == ([] if sentence else [left])


@pytest.mark.parametrize(
    ("marked", "differs", "sentence"),
    [(True, True, ""), (False, False, ""), (False, True, "shard_2 does not hold the rows that were moved")],
)
def test_the_source_is_not_emptied_while_the_target_lacks_the_rows(
    monkeypatch: pytest.MonkeyPatch, marked: bool, differs: bool, sentence: str
) -> None:
    monkeypatch.setattr("archiver.records.markers.read", lambda *_: {} if marked else None)
    monkeypatch.setattr(settle, "differences", lambda *_: ["visits"] if differs else [])
    target: Any = SimpleNamespace(session=None, rows=lambda: None)
    switched: Any = SimpleNamespace(
        source="shard_1", target="shard_2", tenant_id=13, members={}, offsets=(), location="s3://a/13", route=ROUTE
    )
    with refuses(sentence):
        settle._refuse_lost_target(at_work(), switched, target)
