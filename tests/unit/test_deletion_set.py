"""The SQL of a deletion of many tenants: by which relation a row is judged, and what is asked to make it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import pytest

from archiver.catalog.model import MASTER, SHARD, TableName, resolve
from archiver.delete import deletion_set as module
from archiver.delete.bookkeeping import Bookkeeping
from archiver.delete.deletion_set import DeletionSet
from archiver.extract.row_sets import RowSets
from archiver.postgres.databases import Placement
from archiver.postgres.schema import Schema
from archiver.postgres.session import Identifier
from inventory.catalog import DEFAULT_DEPTH, Catalog, DepthRule, Table, Tenant
from tests.answering import Answering
from tests.schemas import database

MODEL = resolve(
    Catalog(
        tenant=Tenant(noun="school", table="schools", key="id", title="name", shard="shard"),
        databases={
            "master": {
                "schools": Table(group="a"),
                "rooms": Table(group="a", found_by=("school_id = schools.id",), needed_by=("id = leases.room_id",)),
                "desks": Table(group="a", found_by=("room_id = rooms.id",)),
                "prizes": Table(group="a", found_by=("visit_id = shard.visits.id",)),
                "notes": Table(group="a", found_by=("school_id = schools.id",)),
                "marks": Table(group="a", found_by=("note_id = notes.id", "school_id = schools.id")),
                "medals": Table(group="a", found_by=("(visit_id, room_id) = shard.visits.(id, room_id)",)),
            },
            "shard": {
                "visits": Table(group="b", found_by=("school_id = master.schools.id",), needed_by=("id = x.visit_id",))
            },
        },
        depths={"all": DepthRule(start="schools", stay=("notes",))},
    )
)
COLUMNS = "id, school_id, room_id, visit_id, note_id"


def name(table: str, database: str = MASTER) -> TableName:
    return TableName(database, table)


class Sets:
    """A deletion set in two databases."""

    def __init__(self, other: Any = None, **columns: str) -> None:
        self.master, self.other = Answering({}, where="master"), Answering(other or {})
        schemas = {
            kind: Schema(
                tables=database(types=None, **{each.table: COLUMNS for each in MODEL.of(kind)} | columns).tables,
                types={},
            )
            for kind in (MASTER, SHARD)
        }
        placement = Placement(
            sessions={MASTER: cast(Any, self.master), SHARD: cast(Any, Answering({}))},
            schemas=schemas,
            shard="shard_1",
            other_shards=(cast(Any, self.other),),
        )
        crossing = next(link for link in MODEL.links if link.child == name("prizes"))
        self.rows = DeletionSet(RowSets(placement, MODEL), DEFAULT_DEPTH, {crossing: [(1, 77)]}, [7])

    def doing(self) -> list[str]:
        """Return the purpose of each statement to master, and forget them."""
        doing = [what for what, _ in self.master.texts]
        self.master.texts.clear()
        return doing


def test_rows_found_by_a_database_that_is_not_at_hand_are_looked_at() -> None:
    """A run over many comes to master when the shards have committed, with master alone."""
    sets = Sets().rows.row_sets
    alone = replace(sets.placement, schemas={MASTER: sets.placement.schemas[MASTER]})
    rows = DeletionSet(RowSets(alone, MODEL), DEFAULT_DEPTH, {})
    assert [rows.all_rows_go(name(table)) for table in ("prizes", "desks")] == [False, False]
    assert not rows.row_sets.single_parent(name("prizes"))
    assert rows.row_sets.single_parent(name("desks"))


def test_a_row_is_judged_by_the_set_that_decides_about_it() -> None:
    sets = Sets()
    assert repr(sets.rows.row(name("notes"), "c")) == "SQL('false')"  # they stay
    assert "'rows 0'" in repr(sets.rows.row(name("schools"), "c"))
    assert sets.doing() == ["finding the rows of master.schools"]
    sets.rows._chosen[name("rooms")] = Identifier("pg_temp", "some rooms")
    assert "some rooms" in repr(sets.rows.row(name("rooms"), "c"))
    assert "some rooms" in repr(sets.rows.row(name("desks"), "c"))  # they go with their parent
    assert "Identifier('c', 'room_id')" in repr(sets.rows.row(name("desks"), "c"))


def test_identities_are_made_only_where_some_rows_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "referenced_by_interrupted", lambda *_: set())
    sets = Sets()
    for table in ("schools", "notes"):
        sets.rows.materialize(name(table))
    assert sets.doing() == []
    sets.rows.materialize(name("rooms"))
    assert sets.doing() == [
        "finding the rows of master.schools",
        "finding references to master.rooms",  # of the schools that stay
        "finding references to master.rooms",  # of leases
        "deciding which rows of master.rooms go",
    ]
    sets.rows.materialize(name("desks"))
    assert sets.doing() == []  # they go with their parent
    assert [table.table for table in sets.rows._chosen] == ["rooms"]


def test_rows_below_another_database_go_with_the_keys_deleted_there(monkeypatch: pytest.MonkeyPatch) -> None:
    own: list[Any] = []

    def interrupted(placement: object, link: object, records: Any) -> set[int]:
        own.append(records)
        return {5}

    monkeypatch.setattr(module, "referenced_by_interrupted", interrupted)
    sets = Sets(other={"finding references to master.prizes": [(9,)]})
    sets.rows.materialize(name("prizes"))
    assert own == [[7]]
    written = [text for doing, text in sets.master.texts if doing == "writing the keys of shard.visits"]
    assert len(written) == 2
    assert "77" in written[0]  # the keys deleted in the shard
    assert "{9,5}" in written[1]  # the keys of other shards, and of interrupted runs
    assert [doing for doing, _ in sets.other.texts] == ["finding references to master.prizes"]


def test_the_parents_of_a_row_are_those_that_go(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = Sets()
    of_notes, of_schools = MODEL.found_by(name("marks"))
    assert "rows 0" in repr(sets.rows._deleted_parents(of_schools))
    sets.doing()
    assert "going 0" in repr(sets.rows._deleted_parents(of_notes))  # none: notes stay
    assert sets.doing() == ["making a table for keys of master.notes", "writing the keys of master.notes"]
    sets.rows._chosen[name("schools")] = Identifier("pg_temp", "some schools")
    assert "some schools" in repr(sets.rows._deleted_parents(of_schools))


def test_keys_of_several_columns_in_other_shards_keep_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "referenced_by_interrupted", lambda *_: {(6, 7)})
    sets = Sets(other={"finding references to master.medals": [(8, 9)]})
    [link] = MODEL.found_by(name("medals"))
    sets.rows._references_that_stay(link)
    [written] = [text for doing, text in sets.master.texts if doing == "writing the keys of shard.visits"]
    assert ("{8,6}" in written, "{9,7}" in written) == (True, True)


def test_the_books_of_a_set_have_ids_and_the_rows_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "referenced_by_interrupted", lambda *_: set())
    sets = Sets(desks="id text, room_id", notes="id text, school_id")
    sets.rows.materialize(name("rooms"))
    sets.doing()
    books = Bookkeeping(sets.rows, cast(Any, sets.master))
    monkeypatch.setattr(type(sets.rows.model), "of", lambda model, kind: [name(each) for each in ("rooms", "desks")])
    books.write()
    assert sets.doing() == [
        "recording the ids of master.rooms",  # all that the archives hold
        "deciding which tenant each row of master.rooms is deleted with",
        "recording the ids of master.rooms",  # those that are deleted
        "recording the rows of master.rooms that stay",
        "finding the rows of master.rooms",
        "recording the ids of master.desks",  # once: those that are deleted are recorded of numbers alone
        "recording the rows of master.desks that stay",  # they go with their rooms
    ]
