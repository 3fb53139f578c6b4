"""The proof of a load, and which archived tables are compared, renumbered or left out, by values."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import SHARD, TableName
from archiver.load import load, obstacles, part_rows, proof, relocate, subset
from archiver.load.load import LiveNeighbors
from archiver.load.obstacles import refused_by_rows
from archiver.load.proof import Proof, proven
from archiver.load.relocate import relocated, renumbered
from archiver.mapping.id_columns import IdColumn
from archiver.postgres.account import Account
from archiver.postgres.schema import Schema
from archiver.postgres.session import DatabaseError, Identifier
from archiver.records.id_offsets import Region
from archiver.records.placement_history import Relocation
from errors import RefusedError, UsageError
from tests.answering import SCHOOLS, session

ROOMS, DESKS = TableName(SHARD, "rooms"), TableName(SHARD, "desks")


def staged(*, keyless: bool = False) -> Any:
    return SimpleNamespace(
        table=ROOMS,
        shape=SimpleNamespace(primary_key=() if keyless else ("id",), copied=(SimpleNamespace(name="name"),)),
        alike="alike",
        differing_columns="columns",
    )


@pytest.mark.parametrize(
    ("differing", "absent", "alike", "sentence"),
    [
        ([], 0, 0, ""),
        (["1"], 0, 0, r"Loading shard\.rooms refused: 1 rows are not as they were sent, in name"),
        (["2"], 0, 0, ""),  # a live row that differs, and stays
        ([], 2, 0, r"2 rows are missing, 0 came twice"),
    ],
)
def test_rows_are_live_as_they_were_sent(
    monkeypatch: pytest.MonkeyPatch, differing: list[str], absent: int, alike: int, sentence: str
) -> None:
    monkeypatch.setattr(proof, "product_names", lambda session: nullcontext())
    monkeypatch.setattr(proof, "missing", lambda session, staged: absent)
    monkeypatch.setattr(proof, "differing", lambda session, staged: [SimpleNamespace(key=key) for key in differing])
    monkeypatch.setattr(proof, "too_low_for_rows", lambda session, staged: ())
    server = session({"comparing shard.rooms": [(1,)]})
    model: Any = SimpleNamespace(catalog_entry=lambda table: None)
    held = Proof(Account(server, "Restoring", {}, {}), model)
    expected = proof.ExpectedRows(staged=staged(), alike=alike)
    held.expect(expected, 1, ["2"])
    with pytest.raises(RefusedError, match=sentence) if sentence else nullcontext():
        held.prove()


def test_a_sequence_that_a_load_left_behind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "product_names", lambda session: nullcontext())
    monkeypatch.setattr(proof, "too_low_for_rows", lambda session, staged: [RefusedError("It would give ids twice.")])
    with pytest.raises(RefusedError, match="ids twice"):
        Proof(Account(session(), "Restoring", {}, {}), cast(Any, None)).prove()


def test_rows_without_a_key_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "product_names", lambda session: nullcontext())
    monkeypatch.setattr(proof, "missing", lambda session, staged: 0)
    monkeypatch.setattr(proof, "differing", lambda session, staged: [])
    monkeypatch.setattr(proof, "too_low_for_rows", lambda session, staged: ())
    for live, sentence in ((3, ""), (4, "0 rows are missing, 1 came twice")):
        held = Proof(
            Account(session({"comparing shard.rooms": [(live,)]}), "Restoring", {}, {}),
            cast(Any, SimpleNamespace(catalog_entry=lambda table: None)),
        )
        held.expect(proof.ExpectedRows(staged=staged(keyless=True), alike=1), 2)
        with pytest.raises(RefusedError, match=sentence) if sentence else nullcontext():
            held.prove()


def test_nothing_is_loaded_where_something_unknown_acts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "lock_carried", lambda *_: None)
    monkeypatch.setattr(proof, "unknown", lambda *_: ["the trigger x of rooms"])
    with (
        pytest.raises(RefusedError, match="Loading rows on shard_1 refused: the trigger x of rooms"),
        proven(Account(session(), "Restoring", {}, {}), cast(Any, None), SHARD),
    ):
        pass


@pytest.mark.parametrize(
    ("live", "shared", "plain", "compared"),
    [
        (LiveNeighbors(retained=()), (), True, False),
        (LiveNeighbors(retained=(), everywhere=True), (), True, True),
        (LiveNeighbors(retained=["shard.old_rooms"]), (), True, True),
        (LiveNeighbors(retained=()), (ROOMS,), True, True),
        (LiveNeighbors(retained=()), (), False, True),
    ],
)
def test_tables_are_compared_where_a_row_may_be_live(
    live: LiveNeighbors, shared: Any, plain: bool, compared: bool
) -> None:
    mapping: Any = SimpleNamespace(target=ROOMS, source=TableName(SHARD, "old_rooms"), plain=plain)
    assert load._must_be_compared(mapping, shared, live) is compared


@pytest.mark.parametrize(
    ("groups", "archived", "next_to_live"),
    [
        ((("rooms",),), ("rooms",), []),
        ((("rooms", "desks"),), ("rooms", "desks"), [2]),
        ((("rooms", "gone"),), ("rooms",), []),
    ],
)
def test_tables_of_a_cycle_are_loaded_together(
    monkeypatch: pytest.MonkeyPatch, groups: Any, archived: tuple[str, ...], next_to_live: list[int]
) -> None:
    together: list[int] = []

    def loaded(proof: object, staged: Any, *rest: Any) -> Any:
        if rest:
            together.append(len(staged))
        return {f"shard.{name}": load.Loaded(inserted=1) for name in archived}

    monkeypatch.setattr(load, "sharable", lambda *_: set())
    monkeypatch.setattr(load, "lost_tables", lambda *_: {})
    monkeypatch.setattr(load, "load_order", lambda schema: groups)
    monkeypatch.setattr(load, "stage_rows", lambda session, tables, *_: {each.target.table: each for each in tables})
    monkeypatch.setattr(load, "_load_directly", lambda proof, staged: loaded(proof, staged))
    monkeypatch.setattr(load, "_load_next_to_live", loaded)
    tables = {
        name: SimpleNamespace(target=TableName(SHARD, name), source=TableName(SHARD, name), plain=True)
        for name in archived
    }
    incoming: Any = SimpleNamespace(
        placement=SimpleNamespace(schemas={SHARD: None}),
        mappings={SHARD: SimpleNamespace(by_target=tables)},
        model=None,
        archive=None,
    )
    held: Any = SimpleNamespace(session=None, tables=0, account=SimpleNamespace(declare=lambda *_: None))
    load.load_database(incoming, SHARD, LiveNeighbors(retained=()), held)
    assert together == next_to_live


def mapping(*columns: str) -> Any:
    values = {column: Identifier(column) for column in columns}
    target = SimpleNamespace(target=ROOMS, values=values, plain=True)
    return SimpleNamespace(tables=(target,), by_target={"rooms": target})


@pytest.mark.parametrize("columns", [("id", "owner_id"), ("owner_id",)])
def test_only_ids_that_the_archive_has_are_renumbered(
    monkeypatch: pytest.MonkeyPatch, columns: tuple[str, ...]
) -> None:
    ids = {"rooms": tuple(IdColumn(name=name, type="bigint", holds=None) for name in ("id", "gone"))}
    monkeypatch.setattr(relocate, "id_columns", lambda *_: ids)
    renumbered_columns: list[Any] = []
    monkeypatch.setattr(relocate, "_replaced", lambda mapping, values: renumbered_columns.append(values))
    renumbered(mapping(*columns), cast(Any, None), cast(Any, None), [(Region(0, 9, 100),)])
    assert [list(each["rooms"]) for each in renumbered_columns] == [["id"] if "id" in columns else []]


def test_a_product_without_shards_is_never_relocated() -> None:
    mappings: Any = {"master": None}
    alone: Any = SimpleNamespace(tenant=SimpleNamespace(shard=None))
    relocation = Relocation(source="a", target="b", offsets=(), turn=1)
    assert relocated(mappings, alone, {}, (relocation,)) is mappings
    assert relocated(mappings, cast(Any, SimpleNamespace(tenant=SCHOOLS)), {}, ()) is mappings


def test_the_complete_archive_is_no_part(tmp_path: Path) -> None:
    manifest = SimpleNamespace(schemas={}, noun="school", tenant_id=13, year=2013)
    model = SimpleNamespace(links=(), table_of_part=lambda noun: ROOMS, found_by=lambda table: ())
    schema = Schema(tables={ROOMS.table: cast(Any, SimpleNamespace(primary_key=("id",), foreign_keys=()))}, types={})
    complete: Any = SimpleNamespace(
        archive=SimpleNamespace(manifest=manifest),
        model=model,
        placement=SimpleNamespace(schemas={"master": schema}),
        mappings={},
    )
    with subset.only_part([complete], None, tmp_path) as archives:
        assert archives == [complete]
    part: Any = SimpleNamespace(noun="classroom", id=42)
    with pytest.raises(UsageError, match="Classroom 42 is not in the archive of school 13 of 2013"):
        part_rows.rows_of_part([complete], part)


@pytest.mark.parametrize(
    ("error", "refusals", "expected"),
    [
        (DatabaseError("It is there.", code="23505"), ["id 7 is taken"], "Restoring refused: id 7 is taken"),
        (DatabaseError("It is there.", code="23505"), [], "It is there"),
        (DatabaseError("It is gone.", code="57P01"), ["id 7 is taken"], "It is gone"),
    ],
)
def test_rows_that_a_constraint_rejects_are_named(
    monkeypatch: pytest.MonkeyPatch, error: DatabaseError, refusals: list[str], expected: str
) -> None:
    monkeypatch.setattr(obstacles, "compare_together", lambda archives: [SimpleNamespace(refusals=refusals)])
    with pytest.raises(Exception, match=expected), refused_by_rows("Restoring", "", [cast(Any, None)]):
        raise error
