"""Truncate tables or delete from them, together or alone; and whether a run takes tenants in sets."""

from __future__ import annotations

import pytest

from archiver.catalog.model import Model, TableName, resolve
from archiver.delete.deletion_set import DeletionSet
from archiver.delete.many import reason_not_bulk
from archiver.delete.strategy import JoinedTables, groups
from archiver.extract.row_sets import RowSets
from archiver.postgres.databases import Placement
from archiver.postgres.schema import ForeignKey, Schema
from archiver.postgres.schema import Table as Shape
from archiver.postgres.session import Identifier
from inventory.catalog import DEFAULT_DEPTH, Catalog, DepthRule, Table, Tenant
from tests.answering import session
from tests.schemas import database


@pytest.mark.parametrize(
    ("to_delete", "obstacles", "emptied"),
    [(50, (), True), (49, (), False), (50, ("it has rules",), False)],
)
def test_tables_are_emptied_where_half_of_their_rows_go(
    to_delete: int, obstacles: tuple[str, ...], emptied: bool
) -> None:
    joined = JoinedTables(tables=("a",), to_delete=to_delete, rows=100, obstacles=obstacles)
    assert joined.emptied is emptied


def keyed(name: str, target: str) -> Shape:
    [shape] = database(types=None, **{name: "id, parent_id"}).tables.values()
    key = ForeignKey(name="k", columns=("parent_id",), target=target, target_columns=("id",))
    return Shape(columns=shape.columns, primary_key=("id",), constraints={}, foreign_keys=(key,))


def test_tables_joined_by_foreign_keys_are_one_group() -> None:
    tables = {
        "rooms": keyed("rooms", "no_table"),
        "desks": keyed("desks", "rooms"),
        "feeds": keyed("feeds", "no_table"),
    }
    server = session(
        {
            "reading how many rows there are": [("rooms", 10), ("desks", 20), ("feeds", 5)],
            "reading the tables": [("rooms", "rooms has rules")],
        }
    )
    found = groups(server, Schema(tables=tables, types={}), {"rooms": 4, "desks": 30, "feeds": 1})
    assert [(each.tables, each.to_delete, each.rows, each.obstacles) for each in found] == [
        (("rooms", "desks"), 34, 40, ("rooms has rules",)),
        (("feeds",), 1, 5, ()),
    ]


def model(start: str = "companies", stay: tuple[str, ...] = (), /, **tables: Table) -> Model:
    shard = {name: table for name, table in tables.items() if table.group == "shard"}
    master = {name: table for name, table in tables.items() if table.group == "master"}
    return resolve(
        Catalog(
            tenant=Tenant(noun="company", table="companies", key="id", title="name", shard="shard" if shard else None),
            databases={
                "master": {"companies": Table(group="company"), **master},
                **({"shard": shard} if shard else {}),
            },
            depths={"all": DepthRule(start=start, stay=stay)},
        )
    )


def found_by(*links: str, group: str = "master", needed_by: tuple[str, ...] = ()) -> Table:
    return Table(group=group, found_by=links, needed_by=needed_by)


COLUMNS = "id, company_id, room_id, desk_id, owner_id"


def deletion_set(model: Model) -> DeletionSet:
    shapes = {
        kind: Schema(tables=database(types=None, **{table.table: COLUMNS for table in model.of(kind)}).tables, types={})
        for kind in ("master", "shard")
    }
    placement = Placement(sessions={}, schemas=shapes, shard="shard_1", other_shards=())
    return DeletionSet(RowSets(placement, model), DEFAULT_DEPTH, {})


def reason(model: Model) -> str | None:
    return reason_not_bulk(model, deletion_set(model).row_sets.placement, DEFAULT_DEPTH)


ROOMS = found_by("company_id = companies.id")
DESKS = found_by("room_id = rooms.id")
NEEDED = found_by("company_id = companies.id", needed_by=("id = others.room_id",))  # by rows elsewhere, so some stay


def master(name: str) -> TableName:
    return TableName("master", name)


@pytest.mark.parametrize(
    ("tables", "start", "stay", "expected"),
    [
        ({"rooms": ROOMS, "desks": DESKS}, "companies", (), {"companies", "rooms", "desks"}),
        ({"rooms": ROOMS, "desks": NEEDED}, "companies", (), {"companies", "rooms"}),  # a row elsewhere may need one
        ({"rooms": NEEDED, "desks": DESKS},
         "companies", (), {"companies"}),  # some rooms stay, and their desks with them
        ({"rooms": ROOMS, "desks": found_by("room_id = rooms.id", "company_id = companies.id")},
         "companies", (), {"companies", "rooms"}),
        ({"rooms": ROOMS, "desks": found_by("room_id = rooms.owner_id")}, "companies", (), {"companies", "rooms"}),
        ({"rooms": ROOMS, "desks": DESKS}, "companies", ("desks",), {"companies", "rooms"}),
        ({"rooms": ROOMS, "desks": DESKS}, "rooms", (), {"rooms", "desks"}),
        ({"rooms": NEEDED, "desks": DESKS}, "rooms", (), set()),
    ],
)  # fmt: skip
def test_all_rows_go_of_a_table_whose_rows_no_one_else_can_have(
    tables: dict[str, Table], start: str, stay: tuple[str, ...], expected: set[str]
) -> None:
    rows = deletion_set(model(start, stay, **tables))
    assert {table.table for table in rows.model.tables if rows.all_rows_go(table)} == expected


def test_rows_go_with_their_parent_where_only_some_parents_go() -> None:
    desks = {"desks": DESKS, "pens": found_by("desk_id = desks.id")}
    rows = deletion_set(model(rooms=NEEDED, **desks))
    rows._chosen[master("rooms")] = Identifier("some rooms")
    assert not rows.goes_with_parent(master("rooms"))
    assert not rows.goes_with_parent(master("desks"))  # pens hang below
    assert not rows.goes_with_parent(master("pens"))  # its parents are not decided by themselves
    leaf = deletion_set(model(rooms=NEEDED, desks=DESKS))
    assert not leaf.goes_with_parent(master("desks"))
    leaf._chosen[master("rooms")] = Identifier("some rooms")
    assert leaf.goes_with_parent(master("desks"))
    staying = deletion_set(model("companies", ("desks",), rooms=NEEDED, desks=DESKS))
    staying._chosen[master("rooms")] = Identifier("some rooms")
    assert not staying.goes_with_parent(master("desks"))
    assert leaf.deciding_link(master("desks")) == leaf.model.found_by(master("desks"))[0]


def test_one_parent_in_the_same_database_decides() -> None:
    rows = deletion_set(
        model(
            "companies",
            ("pens",),
            rooms=ROOMS,
            desks=DESKS,
            pens=found_by("desk_id = desks.id"),
            visits=found_by("room_id = master.rooms.id", group="shard"),
            steps=found_by("room_id = visits.id", group="shard"),
        )
    )
    links = {str(table): rows.deciding_link(table) for table in rows.model.tables}
    assert {name: str(link.parent) for name, link in links.items() if link} == {
        "master.rooms": "master.companies",
        "master.desks": "master.rooms",
        "shard.steps": "shard.visits",
    }
    students = deletion_set(model("rooms", rooms=ROOMS, desks=DESKS))
    assert students.deciding_link(master("rooms")) is None  # its parent stays


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (model(rooms=ROOMS, visits=found_by("room_id = master.rooms.id", group="shard")), None),
        (model(rooms=NEEDED), None),  # master decides row by row
        (
            model("rooms", rooms=NEEDED),
            "rows of master.rooms may belong to another tenant too",
        ),
        (
            model(rooms=found_by(*ROOMS.found_by, "room_id = rooms.id")),
            "rows of master.rooms lead to rows of the same table",
        ),
        (
            model(visits=found_by("company_id = master.companies.id", group="shard", needed_by=("id = o.x",))),
            "rows of shard.visits may be needed by others",
        ),
        (
            model(
                "companies",
                ("visits",),
                visits=found_by("company_id = master.companies.id", group="shard", needed_by=("id = o.x",)),
            ),
            None,
        ),
    ],
)
def test_a_run_over_many_takes_sets_only_where_no_row_of_a_shard_is_shared(
    written: Model, expected: str | None
) -> None:
    assert reason(written) == expected
