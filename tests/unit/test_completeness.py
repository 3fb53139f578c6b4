"""The catalog held against a database's catalogue, without a server: what it names that is not there, and what acts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archiver.catalog.model import resolve
from archiver.completeness.completeness import findings_of
from inventory.catalog import Catalog, Customer, DepthRule, Table, Tenant
from tests.schemas import database

LIVE = database(
    companies="id, name, owner_id",
    rooms="id, company_id -> companies, kind",
    keys="room_id -> rooms",
    owners="id",
)


def catalog(**tables: Table) -> Catalog:
    rooms = Table(group="room", found_by=("company_id = companies.id",))
    keys = Table(group="room", found_by=("room_id = rooms.id",))
    return Catalog(
        tenant=Tenant(noun="company", table="companies", key="id", title="name"),
        databases={"master": {"companies": Table(group="company"), "rooms": rooms, "keys": keys, **tables}},
        depths={"all": DepthRule(start="companies")},
    )


def problems(written: Catalog) -> tuple[str, ...]:
    return findings_of(resolve(written), {"master": {"master": LIVE}}).problems


def test_a_complete_catalog_has_no_problems() -> None:
    assert problems(catalog()) == ()


ROOMS = Table(group="room", found_by=("company_id = companies.id",))


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            catalog(doors=Table(group="room", found_by=("room_id = rooms.id",))),
            "databases/master/doors: there is no table master.doors",
        ),
        (
            catalog(rooms=replace(ROOMS, found_by=(*ROOMS.found_by, "firm_id = companies.id"))),
            "databases/master/rooms/found_by: there is no master.rooms.firm_id",
        ),
        (
            catalog(rooms=replace(ROOMS, found_by=(*ROOMS.found_by, "id = companies.room where sort = Big"))),
            "databases/master/rooms/found_by: there is no master.rooms.sort",
        ),
        (
            catalog(rooms=replace(ROOMS, needed_by=("id = bookings.room_id",))),
            "databases/master/rooms/needed_by: there is no table master.bookings",
        ),
        (
            catalog(rooms=replace(ROOMS, ignored={"sort = Big": "no class"})),
            "databases/master/rooms/ignored: there is no master.rooms.sort",
        ),
        (
            catalog(rooms=replace(ROOMS, triggers={"touched": "counts"})),
            "databases/master/rooms/triggers: there is no trigger touched on master.rooms",
        ),
        (
            replace(catalog(), excluded={"master": {"visits": "nobody's"}}),
            "excluded/master: there is no table master.visits",
        ),
        (
            replace(catalog(), tenant=replace(catalog().tenant, title="label")),
            "tenant/title: there is no master.companies.label",
        ),
        (
            replace(
                catalog(),
                tenant=replace(
                    catalog().tenant, customer=Customer(column="owner_id", table="owners", key="id", title="name")
                ),
            ),
            "tenant/customer/title: there is no master.owners.name",
        ),
    ],
)
def test_a_name_in_the_catalog_that_no_database_has_is_reported_with_its_path(written: Catalog, expected: str) -> None:
    assert expected in problems(written)


def test_a_name_that_only_one_shard_lacks_is_reported_with_that_shard() -> None:
    written = replace(
        catalog(),
        tenant=replace(catalog().tenant, shard="owner_id"),
        databases={
            **catalog().databases,
            "shard": {
                "visits": Table(group="visit", found_by=("room_id = master.rooms.id",), ignored={"by": "a name"})
            },
        },
        excluded={"shard": {"stray": "to be dropped"}},
    )
    shards = {
        "shard_1": database(visits="id, room_id, by", stray="id"),
        "shard_2": database(visits="id, by"),
        "shard_3": database(visits="id, room_id"),
    }

    found = findings_of(resolve(written), {"master": {"master": LIVE}, "shard": shards})

    assert found.problems == ("databases/shard/visits/found_by: there is no shard.visits.room_id on shard_2",)


def test_a_key_that_deletes_rows_which_the_catalog_ignores_is_reported() -> None:
    live = database(companies="id, name", rooms="id, company_id -> companies, lent_to -> companies cascade")
    tables = {
        "companies": Table(group="company"),
        "rooms": replace(ROOMS, ignored={"lent_to": "rooms are their owner's"}),
    }

    found = findings_of(resolve(replace(catalog(), databases={"master": tables})), {"master": {"master": live}})

    assert found.problems == (
        "master.rooms: the foreign key rooms_lent_to_fkey deletes rows there when rows of companies are deleted. "
        "Add found_by, or make the key NO ACTION",
    )


ORDERS = database(
    companies="id, name",
    orders="company_id, number: company_id -> companies, number",
    lines="id, company_id -> companies, number; (company_id, number) -> orders(company_id, number)",
    couriers="id",
    trips="id, order_id -> couriers",
)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (("company_id = companies.id",), ("(company_id, number) can point at master.orders",)),
        (("company_id = companies.id", "(number, company_id) = orders.(number, company_id)"), ()),
        (("(company_id, number) = orders.(company_id, number)",), ("company_id can point at master.companies",)),
    ],
)
def test_a_key_of_several_columns_is_followed_whole_or_reported(lines: tuple[str, ...], told: tuple[str, ...]) -> None:
    tables = {
        "companies": Table(group="company"),
        "orders": Table(group="order", found_by=("company_id = companies.id",)),
        "lines": Table(group="order", found_by=lines),
    }

    found = findings_of(resolve(replace(catalog(), databases={"master": tables})), {"master": {"master": ORDERS}})

    # trips.order_id would be an order by its name, but its foreign key says otherwise.
    assert [problem.split(". Add")[0] for problem in found.problems] == [f"master.lines.{one}" for one in told]
