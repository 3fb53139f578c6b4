"""The catalog held against a database's catalogue, without a server: what it names that is not there, and what acts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archiver.catalog.model import resolve
from archiver.completeness.completeness import findings_of
from archiver.completeness.live import LiveCatalogue
from archiver.completeness.live_acts import LiveActs
from archiver.completeness.live_elsewhere import LiveElsewhere
from archiver.postgres.below import Below
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


def test_a_depth_is_a_tree_in_which_no_row_that_stays_refers_to_one_that_goes() -> None:
    """People found by rooms may stay where rooms go, which refer to them; keys refer to rooms, and may not."""
    people = Table(group="people", found_by=("id = rooms.person_id",))
    written = catalog(people=people)
    live = database(
        companies="id, name", rooms="id, company_id -> companies, person_id", keys="room_id -> rooms", people="id"
    )
    depths = {
        **written.depths,
        "people stay": DepthRule(start="rooms", stay=("people",)),
        "keys stay": DepthRule(start="rooms", stay=("people", "keys")),
        "people go": DepthRule(start="people"),
    }

    found = findings_of(
        resolve(replace(written, depths={name.replace(" ", "-"): rule for name, rule in depths.items()})),
        {"master": {"master": live}},
    )

    assert found.problems == (
        "depths/keys-stay/stay: expected a tree, but rows of master.keys stay and refer by room_id to rows of "
        "master.rooms, which go (start: rooms). Let keys go, or let rooms stay",
    )


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
            catalog(rooms=replace(ROOMS, triggers={"touched": "stamps"}, changes={"touched": ("at",)})),
            "databases/master/rooms/changes/touched: there is no master.rooms.at",
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


def test_a_tenant_without_a_part_of_its_key_is_reported_and_a_customer_with_any_key_is_not() -> None:
    live = database(companies="syear, id: syear?, id, name text, owner_id text", owners="id text, name text")
    customer = Customer(column="owner_id", table="owners", key="id", title="name")
    tenant = replace(catalog().tenant, key=("syear", "id"), customer=customer)
    found = findings_of(resolve(replace(catalog(), tenant=tenant)), {"master": {"master": live}}).problems
    assert any("tenant/key: master.companies.syear may be NULL" in problem for problem in found), found
    assert not any("tenant/customer" in problem for problem in found), found


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


def rooms_problems(live: LiveCatalogue, rooms: Table) -> tuple[str, ...]:
    """Return the problems of companies and their rooms."""
    written = replace(catalog(), databases={"master": {"companies": Table(group="company"), "rooms": rooms}})
    return findings_of(resolve(written), {"master": {"master": live}}).problems


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ("company_id -> companies cascade", "deletes rows there when rows of companies are deleted, also where"),
        ("company_id -> companies null", "sets to NULL rows there when rows of companies are deleted, also where"),
        ("company_id -> companies", "master.rooms.company_id can point at master.companies"),
    ],
)
def test_a_link_with_a_condition_follows_no_whole_foreign_key(key: str, told: str) -> None:
    live = database(companies="id, name", rooms=f"id, {key}, kind")

    found = rooms_problems(live, replace(ROOMS, found_by=("company_id = companies.id where kind = public",)))

    assert any(told in problem for problem in found)


def test_a_link_with_a_condition_that_keeps_rows_live_follows_no_whole_foreign_key() -> None:
    live = database(companies="id, name", rooms="id, company_id -> companies", loans="id, lent -> rooms, kind")

    found = rooms_problems(live, replace(ROOMS, needed_by=("id = loans.lent where kind = open",)))

    assert [problem for problem in found if "loans" in problem] == [
        "master.loans.lent can point at master.rooms, and the catalog does not know the table. "
        "Carry it, or add to excluded/master: {loans: <why it stays live>}",
        "master.loans: the foreign key loans_lent_fkey forbids deleting rows of rooms that it references, "
        "also where kind = open does not hold. Add to databases/master/rooms: needed_by, or carry the table",
    ]


def test_a_depth_that_keeps_rows_which_a_foreign_key_deletes_is_reported() -> None:
    live = database(companies="id, name", rooms="id, company_id -> companies", keys="id, room_id -> rooms cascade")
    written = replace(
        catalog(), depths={"all": DepthRule(start="companies"), "students": DepthRule(start="rooms", stay=("keys",))}
    )

    found = findings_of(resolve(written), {"master": {"master": live}}).problems

    assert found == (
        "depths/students: rows of master.keys stay live, but the foreign key keys_room_id_fkey deletes rows there "
        "when rows of rooms are deleted. Make the key NO ACTION",
        "depths/students/stay: expected a tree, but rows of master.keys stay and refer by room_id to rows of "
        "master.rooms, which go (start: rooms). Let keys go, or let rooms stay",
    )


@pytest.mark.parametrize("companies", ["name: id, name", "id, name: id, name"])
def test_a_tenants_key_that_two_tenants_can_share_is_reported(companies: str) -> None:
    live = database(companies=companies, rooms="id, company_id")

    assert rooms_problems(live, ROOMS) == (
        "tenant/key: master.companies.id is not unique, so that two tenants could be archived as one. "
        "First run: ALTER TABLE companies ADD UNIQUE (id)",
    )
    assert rooms_problems(replace(live, unique=frozenset({("companies", ("id",))})), ROOMS) == ()


@pytest.mark.parametrize(
    ("below", "told"),
    [
        (
            Below(table="rooms", name="rooms_2013", partition=True, foreign=False, method="columnar"),
            "rooms_2013 is stored by columnar, which has no row versions to compare. "
            "First run: ALTER TABLE rooms_2013 SET ACCESS METHOD heap",
        ),
        (
            Below(table="rooms", name="far.rooms", partition=False, foreign=True, method=""),
            "far.rooms inherits it, and its rows are read and deleted as rows of rooms. "
            "First run: ALTER TABLE far.rooms NO INHERIT rooms",
        ),
    ],
)
def test_what_lies_below_a_carried_table_is_reported_and_below_others_is_not(below: Below, told: str) -> None:
    live = database(companies="id, name", rooms="id, company_id -> companies", others="id")

    assert rooms_problems(replace(live, below=(below,)), ROOMS) == (f"master.rooms: {told}",)
    assert rooms_problems(replace(live, below=(replace(below, table="others"),)), ROOMS) == ()


def test_a_rule_that_the_catalog_explains_or_that_is_disabled_is_no_problem() -> None:
    live = database(companies="id, name", rooms="id, company_id -> companies")
    acts, disabled = LiveActs(rules={("rooms", "tidy"): True}), LiveActs(rules={("rooms", "tidy"): False})

    assert len(rooms_problems(replace(live, acts=acts), ROOMS)) == 1
    assert rooms_problems(replace(live, acts=acts), replace(ROOMS, rules={"tidy": "only notifies"})) == ()
    assert rooms_problems(replace(live, acts=disabled), ROOMS) == ()
    assert rooms_problems(live, replace(ROOMS, rules={"tidy": "only notifies"})) == (
        "databases/master/rooms/rules: there is no rule tidy on master.rooms",
    )


def test_a_name_that_means_another_table_is_no_prefix_of_a_carried_one() -> None:
    live = database(companies="id, name", rooms="id, company_id", meeting_rooms="id", trips="id, meeting_room_id")

    assert rooms_problems(live, ROOMS) == ()


ELSEWHERE = LiveElsewhere(
    columns={"crm.notes": {"id": "integer", "companyId": "integer"}, "totals": {"n": "bigint"}},
    views={"totals": ("rooms", "owners")},
)


def test_relations_that_no_catalog_can_carry_are_reported_until_they_are_excluded() -> None:
    live = replace(database(companies="id, name", rooms="id, company_id -> companies"), elsewhere=ELSEWHERE)
    written = replace(catalog(), databases={"master": {"companies": Table(group="company"), "rooms": ROOMS}})
    excluded = {"master": {"crm.notes": "erased by the CRM itself", "totals": "refreshed each night"}}

    assert rooms_problems(live, ROOMS) == (
        "master.crm.notes.companyId can point at master.companies, and no catalog can carry it. "
        "Add to excluded/master: {crm.notes: <why its rows stay>}",
        "master.totals is a materialized view with rows of master.rooms, and no catalog can carry it. "
        "Add to excluded/master: {totals: <why its rows stay>}",
    )
    assert findings_of(resolve(replace(written, excluded=excluded)), {"master": {"master": live}}).problems == ()


def test_a_content_type_of_django_counts_as_its_class() -> None:
    live = database(
        companies="id, name",
        rooms="id, company_id -> companies",
        remarks="id, content_type_id, object_id",
        types={("remarks", "content_type_id"): ("7", "8")},
    )

    assert rooms_problems(replace(live, content_types={"7": "room", "8": "session"}), ROOMS) == (
        "master.remarks.content_type_id = 7 is master.rooms, and the catalog does not know the table. "
        "Carry it, or add to excluded/master: {remarks: <why it stays live>}",
    )
