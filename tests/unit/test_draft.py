"""A catalog drafted from small schemas: carried tables, their links, and the remarks on the rest."""

from __future__ import annotations

from pathlib import Path

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.catalog.model import resolve
from archiver.completeness.completeness import findings_of
from archiver.completeness.draft import draft
from archiver.completeness.draft_yaml import draft_text
from archiver.completeness.live import LiveCatalogue
from errors import ExitCode, UsageError
from inventory.catalog import Catalog
from inventory.load import load_catalog
from runbooks.archives.catalog import catalog_draft
from tests.schemas import database

SCHEMAS = {
    "a chain, and a lookup that others share": (
        database(
            companies="id, title text, plan_id -> plans",
            plans="id",
            rooms="id, company_id -> companies",
            keys="id, room_id -> rooms",
            planets="id",
        ),
        {"rooms": ["company_id = companies.id"], "keys": ["room_id = rooms.id"]},
        {"plans": "named by companies; may be other tenants' too"},
    ),
    "names without foreign keys": (
        database(
            companies="id",
            activities="id, company_id",
            boxes="id, activity_id",
            remarks="id, company_id text",
            trips="id, box_id -> couriers",
            couriers="id",
        ),
        {"activities": ["company_id = companies.id"], "boxes": ["activity_id = activities.id"]},
        {"remarks": "company_id looks like a key of companies; no foreign key says so"},
    ),
    "a name that foreign keys elsewhere explain": (
        database(companies="id", people="id, firm_id -> companies", pets="firm_id"),
        {"people": ["firm_id = companies.id"], "pets": ["firm_id = companies.id"]},
        {},
    ),
    "a join table without key, between two of the tenant's tables": (
        database(
            companies="id",
            people="id, company_id -> companies",
            teams="id, company_id -> companies",
            members="person_id -> people, team_id -> teams",
        ),
        {
            "people": ["company_id = companies.id"],
            "teams": ["company_id = companies.id"],
            "members": ["person_id = people.id", "team_id = teams.id"],
        },
        {},
    ),
    "a cycle yields where a column may be NULL": (
        database(
            companies="id",
            departments="id, company_id -> companies, head_id? -> employees",
            employees="id, department_id -> departments",
        ),
        {
            "departments": ["company_id = companies.id"],
            "employees": ["department_id = departments.id", "id = departments.head_id"],
        },
        {},
    ),
    "of two edges on a cycle the one that may be NULL is turned": (
        database(
            companies="id",
            doors="id, company_id -> companies, lock_id -> locks",
            locks="id, company_id -> companies, door_id? -> doors",
        ),
        {
            "locks": ["company_id = companies.id"],
            "doors": ["company_id = companies.id", "lock_id = locks.id", "id = locks.door_id"],
        },
        {},
    ),
    "a cycle keeps the only way to the root, also where it may be NULL": (
        database(
            companies="id",
            badges="id, employee_id? -> employees",
            employees="id, company_id -> companies, badge_id -> badges",
        ),
        {
            "badges": ["employee_id = employees.id", "id = employees.badge_id"],
            "employees": ["company_id = companies.id"],
        },
        {},
    ),
    "what hangs below a cycle is left as it is": (
        database(
            companies="id",
            as_="id, company_id -> companies, b_id? -> bs",
            bs="id, a_id -> as_",
            aims="id, company_id -> companies, b_id? -> bs",
        ),
        {
            "as_": ["company_id = companies.id"],
            "bs": ["a_id = as_.id", "id = as_.b_id"],
            "aims": ["company_id = companies.id", "b_id = bs.id"],
        },
        {},
    ),
    "the root names a table of its tenant, and another tenant": (
        database(companies="id, owner_id? -> people, parent_id? -> companies", people="id, company_id -> companies"),
        {"people": ["company_id = companies.id", "id = companies.owner_id"]},
        {},
    ),
    "rows below rows of the same table": (
        database(companies="id", parts="id, company_id -> companies, above_id? -> parts"),
        {"parts": ["company_id = companies.id", "above_id = parts.id"]},
        {},
    ),
    "keys of several columns": (
        database(
            companies="id",
            orders="company_id, number: company_id -> companies, number",
            lines="company_id, number, place; (company_id, number) -> orders(company_id, number)",
        ),
        {
            "orders": ["company_id = companies.id"],
            "lines": ["(company_id, number) = orders.(company_id, number)"],
        },
        {},
    ),
    "a polymorphic pair": (
        database(
            companies="id",
            site_visits="id, company_id -> companies",
            planets="id",
            notes="id, about_type text, about_id",
            types={("notes", "about_type"): ("Company", "Planet", "SiteVisit")},
        ),
        {
            "site_visits": ["company_id = companies.id"],
            "notes": [
                "about_id = companies.id where about_type = Company",
                "about_id = site_visits.id where about_type = SiteVisit",
            ],
        },
        {},
    ),
    "a pair that is called like a table": (
        database(
            companies="id",
            owners="id, company_id -> companies",
            cars="id, owner_type text, owner_id",
            types={("cars", "owner_type"): ("Company",)},
        ),
        {"owners": ["company_id = companies.id"], "cars": ["owner_id = companies.id where owner_type = Company"]},
        {},
    ),
    "a key that is called like its own table": (
        database(
            companies="company_id: company_id, name text", rooms="room_id: room_id, company_id", keys="id, room_id"
        ),
        {"rooms": ["company_id = companies.company_id"], "keys": ["room_id = rooms.room_id"]},
        {},
    ),
    "names that YAML would read as something else": (
        database(companies="id", on="id, company_id -> companies", no="id, on_id"),
        {"on": ["company_id = companies.id"], "no": ["on_id = on.id"]},
        {},
    ),
}


def written(live: LiveCatalogue, folder: Path, **shard: LiveCatalogue) -> Catalog:
    """The draft as a person saved it, read again."""
    path = folder / "catalog.yaml"
    path.write_text(draft_text(draft({"master": live, **shard}, "companies")), encoding="utf-8")
    return load_catalog(str(path))


@pytest.mark.parametrize("case", SCHEMAS)
def test_a_draft_is_a_complete_catalog(case: str, tmp_path: Path) -> None:
    live, found_by, excluded = SCHEMAS[case]

    catalog = written(live, tmp_path)

    tables = {name: list(table.found_by) for name, table in catalog.databases["master"].items()}
    assert tables == {"companies": [], **found_by}
    assert catalog.excluded.get("master", {}) == excluded
    assert findings_of(resolve(catalog), {"master": {"master": live}}).problems == ()


def test_columns_that_are_not_followed_are_ignored_with_a_reason(tmp_path: Path) -> None:
    root = written(SCHEMAS["the root names a table of its tenant, and another tenant"][0], tmp_path)
    pair = written(SCHEMAS["a polymorphic pair"][0], tmp_path)

    assert root.databases["master"]["companies"].ignored == {"parent_id": "each company is a tenant of its own"}
    assert pair.databases["master"]["notes"].ignored == {"about_type = Planet": "not of a carried table"}


def test_the_tenant_is_named_as_the_product_names_it(tmp_path: Path) -> None:
    catalog = written(SCHEMAS["a chain, and a lookup that others share"][0], tmp_path)

    tenant, tables = catalog.tenant, catalog.databases["master"]
    assert (tenant.noun, tenant.table, tenant.key, tenant.title) == ("company", "companies", "id", "title")
    assert {name: table.group for name, table in tables.items()} == {
        "companies": "company",
        "rooms": "room",
        "keys": "room",
    }


def test_a_shard_is_followed_from_master(tmp_path: Path) -> None:
    master = database(companies="id, shard text", rooms="id, company_id -> companies", guests="id")
    shard = database(visits="id, room_id, guest_id", steps="id, visit_id -> visits", guests="id, name text")

    catalog = written(master, tmp_path, shard=shard)

    assert catalog.tenant.shard == "shard"
    assert {name: table.found_by for name, table in catalog.databases["shard"].items()} == {
        "visits": ("room_id = master.rooms.id",),
        "steps": ("visit_id = visits.id",),
    }
    assert catalog.excluded == {"shard": {"guests": "named by visits; may be other tenants' too"}}
    lives = {"master": {"master": master}, "shard": {"shard_1": shard}}
    assert findings_of(resolve(catalog), lives).problems == ()


def test_the_text_marks_guesses_from_names_and_how_an_excluded_table_would_be_carried() -> None:
    live = database(companies="id, plan_id -> plans", plans="id", rooms="id, company_id")

    text = draft_text(draft({"master": live}, "companies"))

    assert "- company_id = companies.id  # by its name, no foreign key\n" in text
    assert "plans: named by companies; may be other tenants' too  # found_by: [id = companies.plan_id]\n" in text


@pytest.mark.parametrize(
    ("live", "expected", "hint"),
    [
        (database(company="id", rooms="id"), "There is no table 'companies'", "Similar: company"),
        (database(companies="name text"), "it has no primary key", ""),
    ],
)
def test_a_root_that_cannot_list_tenants_is_refused(live: LiveCatalogue, expected: str, hint: str) -> None:
    with pytest.raises(UsageError, match=expected) as refused:
        draft({"master": live}, "companies")

    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("columns", "key", "line"),
    [("id text", "id", "key: id"), ("syear, id: syear, id", ("syear", "id"), "key: [syear, id]")],
)
def test_tenants_have_the_key_of_their_table(columns: str, key: str | tuple[str, ...], line: str) -> None:
    drafted = draft({"master": database(companies=columns)}, "companies")

    assert (drafted.catalog.tenant.key, f"\n  {line}\n" in draft_text(drafted)) == (key, True)


def test_tenants_on_shards_need_a_column_that_names_the_shard() -> None:
    with pytest.raises(UsageError, match="no column with `shard` in its name"):
        draft({"master": database(companies="id"), "shard": database(visits="id")}, "companies")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({}, "--root: expected the table with one row for each tenant."),
        ({"root": "companies", "env": "rehearsal"}, "--dsn and --env: expected one of them."),
        ({"root": "companies", "dsn": "nonsense s3cret"}, "--dsn: expected what libpq understands"),
        ({"root": "companies", "dsn": "host=h password=s3cret"}, "~/.pgpass or a service file to hold the password"),
        ({"root": "companies", "dsn": "postgresql://u:s3cret@h/d"}, "~/.pgpass or a service file to hold the password"),
    ],
)
def test_invalid_arguments_are_refused_and_not_repeated(words: dict[str, str], expected: str) -> None:
    with pytest.raises(Exit) as left:
        catalog_draft(Context(), **{"dsn": "dbname=shop", **words})

    assert left.value.code == ExitCode.USAGE
    assert expected in str(left.value)
    assert "s3cret" not in str(left.value)
