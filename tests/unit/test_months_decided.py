"""Months out and back: which tenants and slices are taken, where a slice's rows belong, and what refuses them."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.extract.month import NO_TENANT
from archiver.postgres.databases import Placement
from archiver.postgres.session import DatabaseError
from archiver.postgres.tenants import Tenant
from archiver.records.archive_record import Record
from archiver.records.placement_history import PlacementHistory, Relocation
from archiver.records.slice_record import Slice
from archiver.records.state import State
from archiver.runs import monthly, monthly_restore, restore_order, returning
from archiver.runs.returning import parent_archive, returning_month
from errors import CutoverError, RefusedError
from tests.answering import SCHOOLS, master_of

PLACEMENT: Any = SimpleNamespace(master=None, shard="shard_1", shard_session=None)


def tenant(number: int, shard: str = "shard_1") -> Tenant:
    return Tenant(id=number, name="", shard=shard, customer_id=None, customer_name=None)


def of_month(
    month: str = "2014-05", *, number: int = 5, shard: str = "shard_1", turn: int = 5, tenant: int = 1
) -> Slice:
    record: Any = SimpleNamespace(id=number, month=month, shard=shard, turn=turn)
    return Slice(month=record, tenant_id=tenant, start=0, size=1, sha256="", rows={}, went=None, stayed=None)


def archive(state: State, turn: int) -> Record:
    return cast(Record, SimpleNamespace(state=state, turn=turn, year=2000 + turn, tenant_id=1, id=turn))


@pytest.mark.parametrize(
    ("archives", "parents"),
    [
        ([archive(State.ARCHIVED, 7), archive(State.ARCHIVED, 6)], 6),  # the first begun since
        ([archive(State.ARCHIVED, 5), archive(State.ARCHIVED, 4)], None),  # begun before
        ([archive(State.VERIFIED, 7)], None),  # its rows are live
        ([archive(State.DELETING, 7)], 7),
        ([archive(State.RESTORING, 7)], 7),
    ],
)
def test_the_parents_of_a_slice_are_in_the_first_archive_begun_since(
    archives: list[Record], parents: int | None
) -> None:
    found = parent_archive(of_month(), archives)
    assert (found.turn if found else None) == parents


def test_a_slice_follows_its_tenant_up_to_the_archive_of_its_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    moves = [Relocation(source="a", target="b", offsets=(), turn=turn) for turn in (4, 5, 6, 8, 9)]
    history = PlacementHistory(tenants={1: moves})
    monkeypatch.setattr(returning, "placement_history", lambda master: history)
    monkeypatch.setattr(returning, "relocations_of", lambda databases, record: ())
    monkeypatch.setattr("archiver.records.archive_record.of_tenant", lambda *_: [])
    monkeypatch.setattr("archiver.records.slice_record.of_tenant", lambda *_: [of_month(), of_month("2014-06")])
    catalog: Any = SimpleNamespace(activity=True)
    databases: Any = SimpleNamespace(master=None, model=SimpleNamespace(catalog=catalog, tenant=SCHOOLS))
    [live] = returning_month(databases, "2014-05", 1)
    [archived, _] = returning.returning(databases, archive(State.ARCHIVED, 8)).months
    assert [[each.turn for each in month.relocations] for month in (live, archived)] == [[6, 8, 9], [6, 8]]


def run(**more: Any) -> Any:
    model = SimpleNamespace(tenant=SCHOOLS, catalog=SimpleNamespace(activity=True))
    archiver = SimpleNamespace(model=model, databases=SimpleNamespace(master=None))
    return SimpleNamespace(archiver=archiver, rules=None, span=None, throttle=SimpleNamespace(over=False), **more)


def live(
    patch: pytest.MonkeyPatch, module: Any, found: Tenant | None, *, held: bool = False, moved: bool = False
) -> None:
    name = module.__name__
    patch.setattr("archiver.postgres.tenants.tenant", lambda master, table, number: found)
    patch.setattr("archiver.records.move_record.interrupted", lambda *_: [])
    patch.setattr(
        "archiver.records.move_record.half_moved",
        lambda master, ids=None: [SimpleNamespace(tenant_id=3)] if moved else [],
    )
    if module is monthly:
        patch.setattr(f"{name}.on_hold", lambda master: {1} if held else set())


def test_tenants_of_the_shard_are_due_unless_on_hold_or_half_moved(monkeypatch: pytest.MonkeyPatch) -> None:
    live(monkeypatch, monthly, None, held=True, moved=True)
    master = master_of({1: "shard_1", 2: "shard_1", 3: "shard_1", 4: "shard_2"})
    placement: Any = SimpleNamespace(master=master, shard="shard_1")
    monkeypatch.setattr(monthly, "no_tenant", lambda placement: tenant(NO_TENANT))
    shard: Any = SimpleNamespace(name="shard_1", on_hold=0)
    assert [each.id for each in monthly._tenants_due(run(), placement, shard)] == [2, NO_TENANT]
    assert shard.on_hold == 2


@pytest.mark.parametrize(
    ("found", "held", "moved", "still"),
    [
        (tenant(1), False, False, True),
        (None, False, False, True),  # of no tenant
        (tenant(1, "shard_2"), False, False, False),
        (tenant(1), True, False, False),
        (tenant(1), False, True, False),
    ],
)
def test_a_slice_is_deleted_only_where_its_tenant_still_is(
    monkeypatch: pytest.MonkeyPatch, found: Tenant | None, held: bool, moved: bool, still: bool
) -> None:
    live(monkeypatch, monthly, found, held=held, moved=moved)
    assert monthly._still_on_shard(run(), PLACEMENT, of_month()) is still
    assert monthly._still_on_shard(run(), PLACEMENT, of_month(tenant=NO_TENANT)) is True


@pytest.mark.parametrize(
    ("rows", "slices", "most_rows", "most_slices", "taken"),
    [([4, 4, 4], 3, 8, 9, [1, 2]), ([4, 4, 4], 3, 99, 2, [1, 2]), ([4, 0, 4], 3, 99, 2, [1, 3]), ([4], 3, 99, 9, [1])],
)
def test_an_archive_ends_when_it_is_large_enough(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
    rows: list[int],
    slices: int,
    most_rows: int,
    most_slices: int,
    taken: list[int],
) -> None:
    def extract(placement: object, rules: object, tenant: Tenant, span: object, folder: object) -> Any:
        assert isinstance(tenant.id, int)
        count = rows[tenant.id - 1]
        due = SimpleNamespace(held_back={}, total=count)
        return due, SimpleNamespace(id=tenant.id, due=due) if count else None

    monkeypatch.setattr(monthly, "extract_month", extract)
    monkeypatch.setattr("archiver.runs.month_object.pack", lambda archiver, extracted, folder: extracted.id)
    monkeypatch.setattr(monthly, "ROWS", most_rows)
    monkeypatch.setattr(monthly, "SLICES", most_slices)
    shard: Any = SimpleNamespace(held_back={}, errors=[], passed=0)
    waiting = iter([tenant(number) for number in range(1, len(rows) + 1)])
    found: list[Any] = list(monthly._next_slices(run(), PLACEMENT, shard, waiting, tmp_path))
    assert found == taken
    assert shard.passed == taken[-1]


def test_rows_of_no_tenant_do_not_count_as_a_tenant_passed(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setattr(monthly, "_extracted", lambda *_: None)
    shard: Any = SimpleNamespace(passed=0)
    assert list(monthly._next_slices(run(), PLACEMENT, shard, iter([tenant(1), tenant(NO_TENANT)]), tmp_path)) == []
    assert shard.passed == 1


@pytest.mark.parametrize(
    ("number", "error", "raised"),
    [
        (NO_TENANT, CutoverError("It has no month."), False),  # rows of no tenant hold nothing up
        (1, CutoverError("It has no month."), True),
        (NO_TENANT, DatabaseError("The server is gone.", code="57P01"), True),
    ],
)
def test_an_error_of_a_tenant_ends_the_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any, number: int, error: CutoverError, raised: bool
) -> None:
    def fail(*_: object) -> Any:
        raise error

    monkeypatch.setattr(monthly, "extract_month", fail)
    shard: Any = SimpleNamespace(held_back={}, errors=[], passed=0)
    with pytest.raises(CutoverError) if raised else nullcontext():
        list(monthly._next_slices(run(), PLACEMENT, shard, iter([tenant(number)]), tmp_path))
    assert shard.errors == ([] if raised else [error])


RULES: Any = SimpleNamespace(model=SimpleNamespace(tenant=SimpleNamespace(noun="school")))


@pytest.mark.parametrize(
    ("number", "found", "sentence"),
    [
        (1, tenant(1), ""),
        (1, None, "Restoring 2014-05 of school 1 refused: the school is not live."),
        (NO_TENANT, None, ""),
        (1, tenant(1, "shard_2"), "its rows belong to shard_1, and the school is on shard_2."),
    ],
)
def test_a_month_comes_back_only_to_a_live_tenant_on_its_shard(
    monkeypatch: pytest.MonkeyPatch, number: int, found: Tenant | None, sentence: str
) -> None:
    live(monkeypatch, monthly_restore, found)
    with pytest.raises(RefusedError, match=sentence) if sentence else nullcontext():
        monthly_restore._refuse_if_away(RULES, PLACEMENT, "2014-05", number)


def test_a_month_whose_parents_are_archived_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    archives = [archive(State.ARCHIVED, 4)]
    monkeypatch.setattr("archiver.records.archive_record.of_tenant", lambda master, number: archives)
    monthly_restore._refuse_below_archived("school", PLACEMENT, [of_month()])
    archives.append(archive(State.ARCHIVED, 7))
    with pytest.raises(RefusedError, match="the parents of its rows are archived") as refused:
        monthly_restore._refuse_below_archived("school", PLACEMENT, [of_month()])
    assert refused.value.hint.startswith("inv restore.school 1 --year=2007")


def test_each_tenant_of_a_month_is_restored_once_on_each_shard_of_its_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    slices = (of_month(), of_month("2014-04"), of_month(shard="shard_2"), of_month(number=6))
    monkeypatch.setattr("archiver.records.slice_record.of_tenant", lambda master, number: slices)
    monkeypatch.setattr(returning, "placement_history", lambda master: PlacementHistory())
    monkeypatch.setattr("archiver.records.slice_record.of_month", lambda *_: slices)
    monkeypatch.setattr("archiver.format.encryption.refuse_if_closed", lambda *_: None)
    monkeypatch.setattr(Slice, "name", lambda month_slice, noun: "")
    at_work = run().archiver
    at_work.keys = None
    found = monthly_restore.tenants_of_month(at_work, "2014-05", None)
    assert [(each.tenant_id, each.shard) for each in found] == [(1, "shard_1"), (1, "shard_2")]


def test_a_slice_whose_parents_are_in_a_later_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = of_month()
    for others, missing, refused in (
        ([of_month("2014-06", number=6)], [1], True),
        ([of_month("2014-06", number=6)], [0, 0], False),
        ([mine], [1], False),
        ([of_month("2014-04", number=4)], [1], False),
        ([of_month("2014-06", number=6, shard="shard_2")], [1], False),
    ):
        found = tuple(others)
        monkeypatch.setattr("archiver.records.slice_record.of_tenant", lambda master, number, found=found: found)
        monkeypatch.setattr(restore_order, "_missing", lambda *_, missing=missing: missing)
        incoming: Any = SimpleNamespace(slice=mine, incoming=SimpleNamespace(placement=cast(Placement, PLACEMENT)))
        expected = pytest.raises(RefusedError, match="parents of its rows are archived with a later month")
        with expected if refused else nullcontext():
            restore_order.refuse_without_parents(RULES, incoming, cast(Any, None))
