"""Moves between shards: which tenants, which ids, and what refuses them, by values."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import TableName
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Column, Schema, Table
from archiver.postgres.sequences import Sequence
from archiver.postgres.tenants import Tenant
from archiver.records.id_offsets import Region
from archiver.records.move_record import Route, refuse_half_moved
from archiver.records.placement_history import PlacementHistory, Relocation
from archiver.records.state import State
from archiver.reshard import id_ranges, merge_split, settle
from archiver.reshard.id_ranges import ROOM, covered, reserved
from archiver.reshard.merge_split import tenants_to_move
from archiver.reshard.shard_sizes import shard_sizes
from archiver.runs.context import Archiver
from errors import Problems, RefusedError
from tests.answering import SCHOOLS, Answering, master_of, session

MERGE, SPLIT = (Route(verb=verb, source="shard_1", target="shard_2") for verb in ("merge", "split"))


def tenant(number: int, shard: str) -> Tenant:
    return Tenant(id=number, name="", shard=shard, customer_id=None, customer_name=None)


def left(number: int, route: Route = MERGE, state: State = State.LOADING) -> Any:
    two = state in (State.LOADING, State.SWITCHED)
    return SimpleNamespace(
        tenant_id=number,
        route=route,
        state=state,
        in_two_shards=two,
        source=route.source,
        target=route.target,
        command=f"{route.command} --schools={number}",
    )


def archiver() -> Archiver:
    model = SimpleNamespace(tenant=SCHOOLS, catalog=SimpleNamespace(activity=()))
    master = master_of({1: "shard_1", 2: "shard_1", 3: "shard_2"})
    databases = SimpleNamespace(master=master, model=model, shards=("shard_1", "shard_2"))
    return cast(Archiver, SimpleNamespace(databases=databases, model=model, fence=None))


def moving(patch: pytest.MonkeyPatch, *interrupted: Any) -> None:
    """Let schools 1 and 2 be on shard_1, which 2 came to from shard_2, and 3 on shard_2."""
    moved = Relocation(source="shard_2", target="shard_1", offsets=(), turn=1)
    elsewhere = Relocation(source="shard_3", target="shard_1", offsets=(), turn=1)
    history = PlacementHistory(tenants={1: [elsewhere], 2: [moved]})
    for name, answer in {
        "placement_history": lambda master: history,
        "move_record.interrupted": lambda master, ids=None: interrupted,
    }.items():
        patch.setattr(f"{merge_split.__name__}.{name}", answer)


def test_a_merge_moves_all_and_a_split_those_that_came_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    moving(monkeypatch)
    databases = archiver().databases
    assert [each.id for each in tenants_to_move(databases, MERGE)] == [1, 2]
    assert [each.id for each in tenants_to_move(databases, SPLIT)] == [2]
    moving(monkeypatch, left(3), left(3, SPLIT))
    assert [each.id for each in tenants_to_move(databases, MERGE)] == [1, 2, 3]
    moving(monkeypatch, left(3, SPLIT))
    assert [each.id for each in tenants_to_move(databases, MERGE)] == [1, 2]  # of another route


def test_every_school_of_a_list_that_the_route_does_not_move_is_named_with_its_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moving(monkeypatch)
    archived = {4: [SimpleNamespace(state=State.ARCHIVED)]}
    monkeypatch.setattr("archiver.records.archive_record.of_tenant", lambda master, number: archived.get(number, []))
    databases = archiver().databases
    assert [each.id for each in tenants_to_move(databases, MERGE, {2})] == [2]
    with pytest.raises(Problems, match="This split does not move these schools; nothing was changed") as refused:
        tenants_to_move(databases, SPLIT, {1, 2, 3, 4, 5})
    assert refused.value.problems == (
        "school 1 did not come from shard_2.",
        "school 3 is on shard_2, not on shard_1.",
        "school 4 is archived.",
        "There is no school 5.",
    )


@pytest.mark.parametrize(
    ("fence", "kept_off", "refused"), [(None, False, True), (None, True, False), ("a fence", False, False)]
)
def test_live_tenants_are_moved_only_where_something_keeps_the_application_off(
    fence: str | None, kept_off: bool, refused: bool
) -> None:
    at_work: Any = SimpleNamespace(fence=fence, model=archiver().model)
    with pytest.raises(RefusedError, match="nothing keeps the application off") if refused else nullcontext():
        merge_split._refuse_live(at_work, lambda: kept_off)


@pytest.mark.parametrize(
    ("move", "expected"),
    [
        (left(1), "settled"),
        (left(1, state=State.SWITCHED), "settled"),
        (left(1, SPLIT, State.PLANNED), "settled"),  # its rows are in one shard
        (left(1, SPLIT), "half moved"),
    ],
)
def test_an_interrupted_move_is_settled_by_its_own_route(
    monkeypatch: pytest.MonkeyPatch, move: Any, expected: str
) -> None:
    moving(monkeypatch, move)
    monkeypatch.setattr("archiver.records.move_record.interrupted", lambda master, ids=None: (move,))
    monkeypatch.setattr(merge_split, "settle_move", lambda archiver, left: "settled")
    half = pytest.raises(RefusedError, match="School 1 is half moved from shard_1 to shard_2")
    with half if expected == "half moved" else nullcontext():
        ended: Any = merge_split._settled(archiver(), tenant(1, "shard_1"), MERGE)
        assert ended == expected


def test_a_half_moved_tenant_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("archiver.records.move_record.interrupted", lambda master, ids=None: (left(1),))
    with pytest.raises(RefusedError) as refused:
        refuse_half_moved(session(), "school", [1])
    assert refused.value.hint == "End that first: inv shards.merge --from=shard_1 --into=shard_2 --schools=1"


def column(name: str, type_: str = "bigint") -> Column:
    return Column(name=name, type=type_, not_null=True, identity=False, generated=None, sequence=None)


def table(*columns: Column, key: str = "id") -> Table:
    return Table(columns=columns, primary_key=(key,), constraints={}, foreign_keys=())


class Shards:
    """Two shards with one table; `asked` is what was written."""

    def __init__(self, lowest: int | None, highest: int, *, source_next: int = 1, target_type: str = "bigint") -> None:
        shape, target = table(column("id"), column("number")), table(column("id", target_type))
        schemas = {
            "shard_1": Schema(tables={"rooms": shape}, types={}),
            "shard_2": Schema(tables={"rooms": target}, types={}),
        }
        self.sessions = {
            "shard_1": Answering({"reading the lowest ids": [(lowest,)], "reading the highest ids": [(source_next,)]}),
            "shard_2": Answering({"reading the highest ids": [(highest,)]}),
        }
        self.master = Answering({})
        self.databases = cast(
            Databases,
            SimpleNamespace(
                master=SimpleNamespace(transaction=self._transaction, execute=self.master.execute),
                session=self.sessions.__getitem__,
                schema=schemas.__getitem__,
                model=None,
            ),
        )

    @contextmanager
    def _transaction(self, *, doing: str) -> Iterator[None]:
        yield


def ranges(
    patch: pytest.MonkeyPatch,
    *,
    existing: tuple[Region, ...] = (),
    following: int = 1,
    targets: int = 1,
    step: int = 1,
    archived: bool = False,
    columns: Any = None,
) -> None:
    def sequences(session: Answering, tables: object) -> list[Sequence]:
        number = following if "reading the lowest ids" in session.answers else targets
        return [Sequence(name="rooms_id_seq", table="rooms", column="id", next=number, step=step)]

    for name, answer in {
        "regions": lambda master, source, target: existing,
        "read_sequences": sequences,
        "archive_record.read_if_any": lambda master, shard: ["a record"] if archived else [],
        "month_record.of_shard": lambda master, shard: [],
        "id_columns": lambda model, schema: columns or {"rooms": schema.tables["rooms"].columns},
    }.items():
        patch.setattr(f"{id_ranges.__name__}.{name}", answer)


FAR = 3 * ROOM


def test_ids_keep_their_numbers_where_all_are_above_the_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    ranges(monkeypatch, following=1)
    for lowest, highest, plus in ((FAR, 5, 0), (ROOM + 5, 5, ROOM + 5), (None, 5, ROOM + 5)):
        shards = Shards(lowest, highest, source_next=FAR)
        assert reserved(shards.databases, MERGE) == (Region(0, FAR + ROOM, plus),)
    ranges(monkeypatch, archived=True)  # older ids may come back
    assert reserved(Shards(FAR, 5, source_next=FAR).databases, MERGE) == (Region(0, FAR + ROOM, ROOM + 5),)


def test_a_route_is_covered_if_every_id_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    shards = Shards(1, 5, source_next=9)
    for existing, expected in (((), False), ((Region(0, 9, 5),), True), ((Region(0, 8, 5),), False)):
        ranges(monkeypatch, existing=existing)
        assert covered(shards.databases, MERGE) is expected
    # a sequence gave out 20, of which no row is left
    ranges(monkeypatch, existing=(Region(0, 9, 5),), following=21)
    assert not covered(shards.databases, MERGE)


def test_only_keys_are_ids_that_a_table_gave_out() -> None:
    assert len(list(id_ranges._ends("rooms", table(column("id"), column("number")), "max"))) == 1


@pytest.mark.parametrize(("type_", "refused"), [("integer", False), ("smallint", True), ("bigint", False)])
def test_a_column_too_small_for_the_ids_is_refused(monkeypatch: pytest.MonkeyPatch, type_: str, refused: bool) -> None:
    ranges(monkeypatch)
    shards = Shards(1, 5, target_type=type_)
    with (
        pytest.raises(RefusedError, match=r"ids up to \d+ do not fit in rooms\.id \(smallint\)")
        if refused
        else nullcontext()
    ):
        reserved(shards.databases, MERGE)


@pytest.mark.parametrize(("step", "advanced"), [(1, True), (-1, False)])
def test_the_targets_sequences_are_set_past_the_ids(monkeypatch: pytest.MonkeyPatch, step: int, advanced: bool) -> None:
    ranges(monkeypatch, existing=(Region(0, 1, 2 * ROOM),), targets=5, step=step)
    shards = Shards(1, 5, source_next=9)
    reserved(shards.databases, MERGE)
    assert ("advancing rooms_id_seq" in [doing for doing, _ in shards.sessions["shard_2"].asked]) is advanced


def test_a_tenant_that_is_no_longer_on_the_source_is_not_switched() -> None:
    for changed, expected in ((1, nullcontext()), (0, pytest.raises(RefusedError, match="no longer on shard_1"))):
        master = SimpleNamespace(execute=lambda *_, changed=changed, **__: changed)
        at_work: Any = SimpleNamespace(model=SimpleNamespace(tenant=SCHOOLS), databases=SimpleNamespace(master=master))
        books: Any = SimpleNamespace(declare=lambda *_: None, bookkeeping=nullcontext)
        loading: Any = SimpleNamespace(target="shard_2", source="shard_1", tenant_id=1, rows={}, sha256="", route=MERGE)
        with pytest.MonkeyPatch.context() as patch, expected:
            patch.setattr("archiver.records.move_record.switched", lambda master, move: None)
            patch.setattr("archiver.records.audit_log.log", lambda *_: None)
            settle.switch(at_work, loading, books)


def test_the_rows_of_a_shard_are_counted_only_where_all_tables_were_analyzed(monkeypatch: pytest.MonkeyPatch) -> None:
    module = "archiver.reshard.shard_sizes"
    alias = Relocation(source="shard_1", target="shard_2", offsets=(), turn=1, alias=True)
    tables = [TableName("shard", "rooms"), TableName("shard", "desks")]
    databases: Any = SimpleNamespace(
        master=master_of({1: "shard_2"}),
        shards=("shard_1", "shard_2"),
        session=lambda name: name,
        model=SimpleNamespace(tenant=SCHOOLS, of=lambda database: tables),
    )
    monkeypatch.setattr(f"{module}.placement_history", lambda _: PlacementHistory(aliases={"shard_1": alias}))
    monkeypatch.setattr(
        f"{module}.sizes",
        lambda session: {
            "rooms": SimpleNamespace(rows=3, bytes=10),
            "desks": SimpleNamespace(rows=4 if session == "shard_2" else None, bytes=1),
        },
    )
    found = [(each.tenants, each.rows, each.bytes, each.merged_into) for each in shard_sizes(databases)]
    assert found == [(0, None, 11, "shard_2"), (1, 7, 11, None)]
