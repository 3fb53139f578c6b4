"""The catalog: links, order, depths, and the errors that are reported before anything runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archiver.catalog.model import Link, TableName, resolve
from errors import Problems, UsageError
from inventory.catalog import DEFAULT_DEPTH, Catalog, Customer, DepthRule, Table, Tenant
from inventory.load import load_catalog

TENANT = Tenant(
    noun="school",
    table="schools",
    key="id",
    title="name",
    customer=Customer(column="customer_id", table="customers", key="id", title="name"),
)


def catalog(**tables: Table) -> Catalog:
    return Catalog(
        tenant=TENANT,
        databases={"master": {"schools": Table(group="school"), **tables}},
        depths={"all": DepthRule(start="schools"), "students": DepthRule(start="schools")},
    )


def found_by(*links: str, **more: Any) -> Table:
    return Table(group="school", found_by=links, **more)


def mistakes(written: Catalog) -> str:
    with pytest.raises(Problems) as caught:
        resolve(written)
    return str(caught.value)


def test_tables_come_after_those_they_are_found_by() -> None:
    model = resolve(catalog(goals=found_by("room_id = rooms.id"), rooms=found_by("school_id = schools.id")))

    assert [table.table for table in model.tables] == ["schools", "rooms", "goals"]


def test_a_link_may_cross_databases_and_carry_a_condition() -> None:
    model = resolve(load_catalog("catalog.yaml"))

    by_enrollment = Link(TableName("master", "students"), ("id",), TableName("shard", "enrollments"), ("student_id",))
    assert by_enrollment in model.links
    taggings = model.found_by(TableName("master", "taggings"))
    assert taggings[0].where == ("taggable_type", "School")


def test_a_link_may_have_several_columns_and_lead_to_its_own_table() -> None:
    model = resolve(
        catalog(
            orders=found_by("school_id = schools.id"),
            lines=found_by("(school_id, number) = orders.(school_id, order_number)", "above_id = lines.id"),
        )
    )

    by_order, by_line = model.found_by(TableName("master", "lines"))
    assert (by_order.columns, by_order.parent_columns) == (("school_id", "number"), ("school_id", "order_number"))
    assert str(by_order) == "master.lines.(school_id, number) = master.orders.(school_id, order_number)"
    assert (by_order.recursive, by_line.recursive) == (False, True)
    assert model.columns(by_order.child) == ("above_id", "id", "number", "school_id")


def test_a_depth_reaches_what_is_found_below_its_start() -> None:
    model = resolve(load_catalog("catalog.yaml"))
    students, promote = ({str(table) for table in model.below(depth)} for depth in ("students", "promote"))

    assert model.below(DEFAULT_DEPTH) == set(model.tables)
    assert {"master.students", "shard.attempts", "master.classroom_teachings", "master.donations"} <= students
    assert students.isdisjoint({"master.schools", "master.users", "master.preferences", "master.taggings"})
    people = {"students", "student_sessions", "student_settings", "parents_students"}
    assert students - promote == {f"master.{table}" for table in people}


def test_the_depths_that_delete_the_most_come_first() -> None:
    model = resolve(load_catalog("catalog.yaml"))

    assert model.in_order(["promote", "students", "all"]) == ["all", "students", "promote"]


def test_a_depth_without_a_meaning_says_what_goes_and_what_stays() -> None:
    assert DepthRule(start="rooms").sentence == "rows of rooms and below are deleted"
    assert DepthRule(start="rooms", stay=("a", "b")).sentence == "rows of rooms and below are deleted; a, b stay"
    assert DepthRule(start="rooms", meaning="rooms go").sentence == "rooms go"


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ({"a": found_by("nonsense")}, "databases/master/a/found_by: expected `column = table.column"),
        ({"a": found_by("(x, y) = schools.id")}, "or `(a, b) = table.(x, y)`, got '(x, y) = schools.id'"),
        ({"a": found_by("above = a.id")}, "databases/master/a/found_by: expected a way to find its rows, got none"),
        ({"schools": found_by("above = schools.id")}, "databases/master/schools/found_by: expected nothing, it has"),
        ({"a": found_by("x = gone.id")}, "expected a table of the catalog, got master.gone"),
        ({"a": found_by()}, "databases/master/a/found_by: expected a way to find its rows, got none"),
    ],
)
def test_an_error_is_named(tables: dict[str, Table], expected: str) -> None:
    assert expected in mistakes(catalog(**tables))


def test_a_cycle_is_an_error_in_one_sentence_that_names_each_of_its_tables_and_a_way_out() -> None:
    text = mistakes(
        catalog(
            a=found_by("b_id = b.id", "school_id = schools.id"),
            b=found_by("(x, y) = c.(x, y)"),
            c=found_by("a_id = a.id"),
            below=found_by("c_id = c.id"),
        )
    )

    assert text.splitlines()[1:] == [
        "  - databases: expected no cycle of found_by, got one through master.a, master.b, master.c: remove one of its "
        "links, or reverse it, such as master.b.id = master.a.b_id instead of master.a.b_id = master.b.id"
    ]


def test_a_part_is_a_table_of_master() -> None:
    written = replace(catalog(), tenant=replace(TENANT, parts={"room": "rooms"}))

    assert "tenant/parts/room: expected a table of databases/master, got 'rooms'" in mistakes(written)


def test_a_catalog_may_have_one_depth_only_and_refuses_the_other() -> None:
    model = resolve(replace(catalog(), depths={"all": DepthRule(start="schools")}))

    assert model.below(DEFAULT_DEPTH) == {model.root}
    with pytest.raises(UsageError, match=r"The catalog of tables has no depth students \(there: all\)"):
        model.below("students")


def test_a_duplicate_table_is_reported_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("databases:\n  master:\n    rooms: {group: a}\n    rooms: {group: b}\n", encoding="utf-8")

    with pytest.raises(UsageError, match=r"twice.yaml is not YAML: 'rooms' is written twice \(line 4, column 5\)"):
        load_catalog(str(path))


HALF = (
    "depths/half a school: expected a name of letters, digits, - and _",
    "depths/half a school/stay/1: expected another table than the one to start from, got 'schools'",
    "depths/half a school/stay/2: expected a table of the catalog, got 'pets'",
)


def test_all_errors_are_reported_at_once() -> None:
    depths = {
        "students": DepthRule(start="nowhere"),
        "half a school": DepthRule(start="schools", stay=("schools", "pets")),
    }
    text = mistakes(replace(catalog(a=found_by("nonsense"), b=found_by("x = gone.id")), depths=depths))

    parts = ("nonsense", "master.gone", "depths/all", "depths/students", *HALF)
    assert all(part in text for part in parts)
