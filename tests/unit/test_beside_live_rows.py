"""An archive beside live rows: which tables are compared whole, and what is written of rows that stay."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import MASTER, TableName, resolve
from archiver.load import load, obstacles
from archiver.load.forbidden_rows import forbidden_rows
from archiver.load.load import IncomingArchive, LiveNeighbors
from archiver.load.obstacles import compare_together, compare_with_live
from archiver.load.staged import Staged
from archiver.load.unique_conflicts import unique_conflicts
from archiver.postgres.schema import Schema
from archiver.postgres.session import Identifier
from archiver.records.retained_rows import RetainedRow
from inventory.catalog import Catalog, DepthRule, Table
from tests.answering import SCHOOLS, asked, session
from tests.schemas import database

ROOMS, DESKS = TableName(MASTER, "rooms"), TableName(MASTER, "desks")
OLD_ROOMS = TableName(MASTER, "old_rooms")  # as the archive calls them
MODEL = resolve(
    Catalog(
        tenant=SCHOOLS,
        databases={
            "master": {
                "schools": Table(group="school"),
                "rooms": Table(group="a", found_by=("school_id = schools.id",)),
                "desks": Table(group="a", found_by=("school_id = schools.id", "room_id = rooms.id")),
            },
            "shard": {"visits": Table(group="a", found_by=("school_id = master.schools.id",))},
        },
        depths={"all": DepthRule(start="schools")},
    )
)
SCHEMAS = {
    "master": Schema(
        tables=database(schools="id", rooms="id, school_id", desks="id, school_id, room_id").tables, types={}
    ),
    "shard": Schema(tables=database(visits="id, school_id").tables, types={}),
}


def staged(columns: str = "id, name") -> Staged:
    return Staged(
        table=ROOMS,
        shape=database(rooms=columns).tables["rooms"],
        relation=Identifier("pg_temp", "stage 0"),
        rows=3,
        links=(),
    )


@pytest.mark.parametrize(
    ("retained", "complete"),
    [
        (None, []),  # rows of any table may be live
        ((), ["rooms"]),  # other schools may have the desks
        (("master.old_rooms",), []),
        (("master.rooms",), ["rooms"]),  # a table of another name in the archive
    ],
)
def test_a_live_row_with_the_key_of_an_archived_one_is_in_its_way_where_none_stayed_live(
    monkeypatch: pytest.MonkeyPatch, retained: tuple[str, ...] | None, complete: list[str]
) -> None:
    for name in ("missing_references", "forbidden_rows", "unknown", "too_low_for_rows"):
        monkeypatch.setattr(obstacles, name, lambda *_: [])
    for name in ("stage_rows", "lost_tables"):
        monkeypatch.setattr(obstacles, name, lambda *_: {})
    compared: list[Any] = []

    def conflicts(session: object, staged: object, tables: object) -> list[Any]:
        compared.append(tables)
        return []

    monkeypatch.setattr(obstacles, "unique_conflicts", conflicts)
    mappings: Any = {
        MASTER: SimpleNamespace(
            tables=[SimpleNamespace(target=ROOMS, source=OLD_ROOMS), SimpleNamespace(target=DESKS, source=DESKS)]
        )
    }
    placement: Any = SimpleNamespace(sessions={MASTER: session()}, schemas=SCHEMAS)
    archive: Any = None
    incoming = IncomingArchive(placement=placement, model=MODEL, archive=archive, mappings=mappings)
    compare_with_live(incoming, retained)
    assert compared == [complete]


def test_archives_that_are_loaded_together_are_compared_where_each_has_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    staged: list[Any] = []
    compared: list[str] = []

    def stage(session: Any, tables: Any, model: object, archive: object, first: int) -> Any:
        staged.append((session.where, len(tables), first))
        return dict.fromkeys(range(len(tables)))

    monkeypatch.setattr(obstacles, "stage_rows", stage)
    monkeypatch.setattr(
        obstacles._Comparing,
        "add",
        lambda self, incoming, database, *_: compared.append(f"{incoming.archive} {database}"),
    )
    sessions = {"master": session(where="master"), "shard": session(where="shard")}
    placement: Any = SimpleNamespace(sessions=sessions, schemas=SCHEMAS)
    school: Any = {MASTER: SimpleNamespace(tables=[1, 2])}
    month: Any = {"shard": SimpleNamespace(tables=[3])}
    archives: Any = [
        (IncomingArchive(placement=placement, model=MODEL, archive=cast(Any, name), mappings=mappings), None)
        for name, mappings in (("school", school), ("month", month), ("month before", month))
    ]
    assert len(compare_together(archives)) == 3
    assert compared == ["school master", "month shard", "month before shard"]
    assert staged == [
        *(("master", 2, 0), ("master", 0, 2), ("master", 0, 2)),
        *(("shard", 0, 0), ("shard", 1, 0), ("shard", 1, 1)),
    ]


@pytest.mark.parametrize(
    ("partitions", "condition"),
    [
        (["(id < 9)", "true"], "SQL('(id < 9)'), SQL(')')"),
        ([], "SQL('false')"),  # a table without partitions takes no row
    ],
)
def test_rows_without_a_partition_are_forbidden_and_rows_that_a_check_rejects(
    partitions: list[str], condition: str
) -> None:
    trying = "trying the rows of rooms"
    answers: Any = {
        "reading the constraints": [
            ("rooms", "named", "(name <> '')", ["name"]),
            ("rooms", "old", "(size > 0)", ["size"]),  # of a column that the archive lacks
        ],
        "reading the partitions": [("rooms", partitions)],
        trying: [("7",)],
    }
    server: Any = session(answers)
    named, lost = forbidden_rows(server, {"rooms": staged()})
    assert str(named) == "master.rooms: the constraint named forbids rows: archived 7"
    assert str(lost) == "master.rooms: there is no partition for rows: archived 7"
    assert condition in [text for doing, text in server.texts if doing == trying][1]
    answers[trying] = []
    assert forbidden_rows(server, {"rooms": staged()}) == []


@pytest.mark.parametrize(("complete", "but_live_ones"), [((), True), (("rooms",), False), (("desks",), True)])
def test_taken_keys_are_looked_for_among_the_rows_that_are_inserted(
    complete: tuple[str, ...], but_live_ones: bool
) -> None:
    index = ("rooms", "rooms_name_key", ["name"], ["="], None, ["name"], False)
    server: Any = session({"reading the unique indexes": [index]})
    unique_conflicts(server, {"rooms": staged()}, complete)
    texts = [text for doing, text in server.texts if doing == "finding taken keys in rooms"]
    assert ["NOT EXISTS" in text for text in texts] == [but_live_ones] * 2


@pytest.mark.parametrize(
    ("plain", "retained", "written"),
    [
        (False, ("master.old_rooms",), [OLD_ROOMS]),
        (False, (), []),
        (True, ("master.old_rooms",), []),  # as they were written at the deletion
    ],
)
def test_rows_that_stayed_live_are_written_again_as_migrations_changed_them(
    monkeypatch: pytest.MonkeyPatch, plain: bool, retained: tuple[str, ...], written: list[TableName]
) -> None:
    found: list[TableName] = []
    for name, answer in {"_lock_live": None, "differing": [], "_insert": [2], "_replace": 0, "copies": []}.items():
        monkeypatch.setattr(load, name, lambda *_, answer=answer: answer)
    proof: Any = SimpleNamespace(session=None, before=lambda staged: None, expect=lambda *_: None)
    mapping: Any = SimpleNamespace(plain=plain, source=OLD_ROOMS)
    live = LiveNeighbors(retained=retained, mapped=lambda table, rows: found.append(table))
    loaded = load._load_next_to_live(proof, [staged()], [mapping], live)
    assert found == written
    assert loaded == {"master.rooms": load.Loaded(inserted=2, there=1)}


@pytest.mark.parametrize(
    ("columns", "older", "replaced"), [("id, name", True, True), ("id, name", False, False), ("id", True, False)]
)
def test_a_row_of_an_older_archive_is_replaced_if_it_has_more_than_its_key(
    monkeypatch: pytest.MonkeyPatch, columns: str, older: bool, replaced: bool
) -> None:
    monkeypatch.setattr(load, "product_names", lambda session: nullcontext())
    server = session({"replacing older copies in master.rooms": [(1,)]})
    rows = [RetainedRow(table="master.rooms", key="(1)", digest="a")] if older else []
    assert load._replace(server, staged(columns), rows) == replaced
    assert asked(server) == ["replacing older copies in master.rooms"] * replaced
