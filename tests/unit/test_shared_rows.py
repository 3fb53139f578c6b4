"""Rows that may go: those that a deleted row leads to and no retained row needs. Written as tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from archiver.catalog.model import Link, Model, TableName, resolve
from archiver.delete.shared_rows import deletable
from archiver.postgres.selection import SelectedRows, Selection
from inventory.catalog import DEFAULT_DEPTH, Catalog, DepthRule, Table, Tenant

Found = Mapping[str, list[tuple[Any, ...]]]  # rows by table: the id, then the linking columns by name


def model(start: str = "companies", stay: tuple[str, ...] = (), /, **tables: Table) -> Model:
    depth = DepthRule(start=start, stay=stay)
    return resolve(
        Catalog(
            tenant=Tenant(noun="company", table="companies", key="id", title="name"),
            databases={"master": {"companies": Table(group="company"), **tables}},
            depths={"all": depth, "students": depth},
        )
    )


def gone(model: Model, found: Found, outside: Mapping[str, set[int]] | None = None) -> dict[str, list[int]]:
    """The ids that go, by table; `outside` are keys that live rows of others name, by the table that names them."""

    def live(link: Link, keys: set[Any]) -> set[Any]:
        return keys & (outside or {}).get(link.parent.table, set())

    rows = {table: _rows(model, table, found.get(table.table, [])) for table in model.tables}
    went = deletable(model, DEFAULT_DEPTH, Selection(by_table=rows, values={}), live)
    return {table.table: [row[0] for row in each.rows] for table, each in went.items()}


def _rows(model: Model, table: TableName, rows: list[tuple[Any, ...]]) -> SelectedRows:
    linking = [name for name in model.columns(table) if name != "id"]
    return SelectedRows(identity=("id",), columns=("id", *linking, *model.conditions(table)), rows=rows)


STAFF = model(
    # columns in order: id, company_id
    jobs=Table(group="staff", found_by=("company_id = companies.id",)),
    # id, job_id, manager_id
    people=Table(group="staff", found_by=("job_id = jobs.id", "id = people.manager_id")),
)


@pytest.mark.parametrize(
    ("outside", "expected"),
    [
        ({}, [1, 2, 3]),
        ({"people": {3}}, [1, 2]),  # another company's people name 3 as their manager
        ({"people": {2}}, [1]),  # 2 stays, and so does his own manager 3
        ({"people": {1}}, []),
    ],
)
def test_a_retained_row_keeps_the_rows_that_it_references(outside: dict[str, set[int]], expected: list[int]) -> None:
    found: Found = {"companies": [(9,)], "jobs": [(7, 9)], "people": [(1, 7, 2), (2, None, 3), (3, None, None)]}

    assert gone(STAFF, found, outside)["people"] == expected


def test_a_row_that_a_row_of_the_tenant_needs_stays_with_it() -> None:
    # 2 stays, as another company's people name it; its manager 3 has a job that goes.
    found: Found = {"companies": [(9,)], "jobs": [(7, 9)], "people": [(1, 7, None), (2, 7, 3), (3, 7, None)]}

    assert gone(STAFF, found, {"people": {2}})["people"] == [1]


def test_a_depth_deletes_from_its_start_what_the_tenant_alone_has() -> None:
    people = model(
        "jobs",
        jobs=Table(group="staff", found_by=("company_id = companies.id",), needed_by=("id = offers.job_id",)),
        people=Table(group="staff", found_by=("job_id = jobs.id",)),
        rooms=Table(group="staff", found_by=("company_id = companies.id",)),
    )
    found: Found = {
        "companies": [(9,)],
        "jobs": [(7, 9), (8, 9)],
        "people": [(1, 7), (2, 8)],
        "rooms": [(5, 9)],
    }
    # Job 8 is another company's too, by an offer; rooms are not below jobs.
    expected = {"companies": [], "jobs": [7], "people": [1], "rooms": []}
    assert gone(people, found, {"offers": {8}}) == expected

    staying = model("companies", ("rooms",), rooms=Table(group="staff", found_by=("company_id = companies.id",)))
    assert gone(staying, {"companies": [(9,)], "rooms": [(5, 9)]}) == {"companies": [9], "rooms": []}


TREE = model(
    folders=Table(group="files", found_by=("company_id = companies.id", "above_id = folders.id")),
)


def test_rows_below_rows_go_with_them_and_stay_with_them() -> None:
    # id, above_id, company_id
    found: Found = {
        "companies": [(9,)],
        "folders": [(1, None, 9), (2, 1, None), (3, 2, None), (4, 3, None), (5, 4, None)],
    }

    assert gone(TREE, found)["folders"] == [1, 2, 3, 4, 5]
    assert gone(TREE, found, {"folders": {1}})["folders"] == [1]


def test_a_conditional_reference_applies_only_to_rows_that_meet_it() -> None:
    files = Table(
        group="files",
        found_by=("company_id = companies.id",),
        needed_by=("owner_id = districts.id where owner_type = District",),
    )
    # id, company_id, owner_id, and whether its owner_type is District
    found: Found = {"companies": [(9,)], "files": [(1, 9, 5, True), (2, 9, 5, False)]}

    assert gone(model(files=files), found, {"districts": {5}})["files"] == [2]


def test_keys_of_several_columns_are_compared_whole_and_null_matches_none() -> None:
    lines = Table(group="orders", found_by=("(company_id, number) = orders.(company_id, number)",))
    orders = Table(group="orders", found_by=("company_id = companies.id",))
    # orders: id, company_id, number; lines: id, company_id, number
    found: Found = {
        "companies": [(9,)],
        "orders": [(1, 9, 100), (2, 9, None)],
        "lines": [(1, 9, 100), (2, 9, 101), (3, 9, None)],
    }

    assert gone(model(orders=orders, lines=lines), found)["lines"] == [1]
