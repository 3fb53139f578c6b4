"""Archived rows beside live ones: rows that may be live, ids that would come twice, references that lead nowhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from archiver.catalog.model import Model, TableName, resolve
from archiver.load import load, sequences
from archiver.load.fit import migrations_between
from archiver.load.missing_references import missing_references
from archiver.load.row_labels import id_text
from archiver.load.sequences import too_low, too_low_for_rows
from archiver.load.staged import Staged
from archiver.postgres.schema import ForeignKey, Schema
from archiver.postgres.schema import Table as Shape
from archiver.postgres.sequences import Sequence
from archiver.postgres.session import Identifier
from errors import RefusedError
from inventory.catalog import Catalog, Customer, DepthRule, Table, Tenant
from inventory.migrations import Changes, Migration
from tests.answering import SCHOOLS, session
from tests.schemas import database


def model(**tables: Table) -> Model:
    return resolve(
        Catalog(
            tenant=Tenant(
                noun="school",
                table="schools",
                key="id",
                title="name",
                customer=Customer(column="owner", table="districts", key="id", title="name"),
            ),
            databases={"master": {"schools": Table(group="school"), **tables}},
            depths={"all": DepthRule(start="schools")},
        )
    )


def shape(columns: str, *keys: ForeignKey) -> Shape:
    return replace(database(t=columns).tables["t"], foreign_keys=keys)


def staged(name: str, columns: str, *keys: ForeignKey) -> Staged:
    return Staged(
        table=TableName("master", name),
        shape=shape(columns, *keys),
        relation=Identifier("pg_temp", name),
        rows=1,
        links=(),
    )


def key(column: str, target: str) -> ForeignKey:
    return ForeignKey(name="k", columns=(column,), target=target, target_columns=("id",))


ROOMS = Table(group="a", found_by=("school_id = schools.id",))


@pytest.mark.parametrize(
    ("table", "shared"),
    [
        (Table(group="a", found_by=("room_id = rooms.id",)), set()),
        (Table(group="a", found_by=("room_id = rooms.id", "school_id = schools.id")), {"desks", "pens"}),
        (Table(group="a", found_by=("room_id = rooms.school_id",)), {"desks", "pens"}),  # of many rooms
    ],
)
def test_a_row_found_in_several_ways_may_be_live_and_so_may_those_below_it(table: Table, shared: set[str]) -> None:
    catalog = model(rooms=ROOMS, desks=table, pens=Table(group="a", found_by=("desk_id = desks.id",)))
    columns = dict.fromkeys(("schools", "rooms", "desks", "pens"), "id, school_id, room_id, desk_id")
    schemas = {"master": Schema(tables=database(types=None, **columns).tables, types={})}
    assert {each.table for each in load.sharable(catalog, schemas)} == shared


@pytest.mark.parametrize(
    ("step", "following", "refused"), [(1, 43, []), (1, 42, ["42"]), (-1, 6, []), (-1, 7, ["7"]), (-1, 43, ["43"])]
)
def test_a_sequence_must_have_passed_the_archived_ids(
    monkeypatch: pytest.MonkeyPatch, step: int, following: int, refused: list[str]
) -> None:
    found = [
        Sequence(name="rooms_id_seq", table="rooms", column=column, next=following, step=step)
        for column in ("id", "other")
    ]
    monkeypatch.setattr(sequences, "read_sequences", lambda session, tables: found)
    server = session({"reading the ids of rooms": [(7, 42)]})
    errors = list(too_low_for_rows(server, [staged("rooms", "id")]))
    assert [str(error).split(" next")[0].split()[-1] for error in errors] == refused
    assert list(too_low_for_rows(session({"reading the ids of rooms": [(None, None)]}), [staged("rooms", "id")])) == []
    assert len(list(too_low(server, {("rooms", "id"): (7, 42)}))) == len(refused)


@pytest.mark.parametrize(
    ("columns", "foreign", "names"),
    [
        ("id, room_id", (), ["master.desks.room_id"]),
        ("id, room_id", (key("room_id", "rooms"),), ["master.desks.room_id"]),  # enforced: once, not by name too
        ("id, room_id bigint", (), ["master.desks.room_id"]),  # another whole number
        ("id, room_id text", (), []),
        ("id, ward_id", (), []),  # another type than the ward's key
        ("id, owner", (), []),  # a customer's column of another table
        ("id", (key("room_id", "rooms"),), []),  # the archive lacks the column
    ],
)
def test_references_go_by_foreign_key_and_by_name(
    columns: str, foreign: tuple[ForeignKey, ...], names: list[str]
) -> None:
    live = Schema(tables={"desks": shape("id, room_id", *foreign)}, types={})
    server = session(
        {
            "reading the primary keys": [
                ("rooms", "id", "integer"),
                ("districts", "id", "integer"),
                ("wards", "id", "text"),
            ],
            **{f"following master.desks.{each}": [("13",)] for each in ("room_id", "owner", "ward_id")},
        }
    )
    found = missing_references(server, {"desks": staged("desks", columns)}, live, model(rooms=ROOMS))
    assert [str(each.reference) for each in found] == names
    assert [each.reference.enforced for each in found] == [bool(foreign)] * len(names)


@pytest.mark.parametrize(("kind", "column"), [("text", "room_id text"), ("bigint", "place_id")])
def test_references_go_by_keys_of_any_type_and_by_the_words_of_the_catalogs_links(kind: str, column: str) -> None:
    live = Schema(tables={"desks": shape(f"id, {column}")}, types={})
    reference = f"master.desks.{column.split()[0]}"
    server = session({"reading the primary keys": [("rooms", "id", kind)], f"following {reference}": [("13",)]})
    catalog = model(rooms=ROOMS, desks=Table(group="a", found_by=("place_id = rooms.id",)))
    found = missing_references(server, {"desks": staged("desks", f"id, {column}")}, live, catalog)
    assert [str(each.reference) for each in found] == [reference]


def test_a_reference_may_lead_into_an_archive_that_is_loaded_together() -> None:
    live = Schema(tables={"desks": shape("id, room_id", key("room_id", "rooms"))}, types={})
    server: Any = session()
    desks, rooms = {"desks": staged("desks", "id, room_id")}, {"rooms": staged("rooms", "id")}
    for others, named in (((), False), ((rooms,), True), (({"rooms": staged("rooms", "name")},), False)):
        server.texts.clear()
        missing_references(server, desks, live, model(rooms=ROOMS), others)
        [text] = [text for doing, text in server.texts if doing == "following master.desks.room_id"]
        assert ("Identifier('pg_temp', 'rooms')" in text) is named


def test_a_link_to_another_database_names_no_table_of_this_one() -> None:
    catalog = resolve(
        Catalog(
            tenant=SCHOOLS,
            databases={
                "master": {"schools": Table(group="a"), "rooms": ROOMS},
                "shard": {"desks": Table(group="a", found_by=("place_id = master.rooms.id",))},
            },
            depths={"all": DepthRule(start="schools")},
        )
    )
    desks = replace(staged("desks", "id, place_id"), table=TableName("shard", "desks"))
    live = Schema(tables={"desks": shape("id, place_id")}, types={})
    server = session(
        {"reading the primary keys": [("rooms", "id", "integer")], "following shard.desks.place_id": [("13",)]}
    )
    assert missing_references(server, {"desks": desks}, live, catalog) == []


def test_a_tenant_refers_to_its_customer() -> None:
    live = Schema(tables={"schools": shape("id, owner")}, types={})
    server = session(
        {"reading the primary keys": [("districts", "id", "integer")], "following master.schools.owner": [("13",)]}
    )
    [missing] = missing_references(server, {"schools": staged("schools", "id, owner")}, live, model())
    assert missing.reference.target == "districts"


def test_rows_that_a_trigger_drops_are_refused() -> None:
    table = TableName("master", "rooms")
    load._refuse_missing(table, 3, 3)
    with pytest.raises(RefusedError, match=r"Loading master\.rooms refused: 2 of 3 rows inserted"):
        load._refuse_missing(table, 2, 3)


def test_columns_that_triggers_set_are_not_compared_but_the_key_is() -> None:
    assert staged("rooms", "id, seen, name").without({"seen", "id"}).column_names == {"id", "name"}


@pytest.mark.parametrize(
    ("columns", "named", "shown"),
    [("id", ["id"], True), ("id uuid", ["id"], True), ("id text", ["id"], False), ("id", [], False)],
)
def test_a_key_of_text_is_not_shown(columns: str, named: list[str], shown: bool) -> None:
    assert ("not shown" not in repr(id_text(shape(columns), named, "s"))) is shown


def test_migrations_come_between_two_shapes_and_the_operators_own_last() -> None:
    before, after = (Schema(tables={"t": shape(columns)}, types={}) for columns in ("id", "id, name"))
    own = Changes(database="master")
    between = Migration(database="master", before=before.fingerprint[:12], after=after.fingerprint[:12])
    assert migrations_between([between], "master", before, before) == ()
    assert migrations_between([between], "master", before, after) == (between,)
    assert migrations_between([between], "master", before, after, own) == (between, own)
    assert migrations_between([between], "shard", before, after, own) == ()
