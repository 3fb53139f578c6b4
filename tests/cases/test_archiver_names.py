"""Names of a product's tables and columns: odd ones are carried, and one that leads to a school is seen."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from archiver.catalog.model import MASTER
from archiver.completeness.draft import draft
from archiver.completeness.draft_yaml import draft_text
from archiver.runs.setup import read_environment
from errors import Problems
from inventory.model import Store
from rehearsal.postgres_server import Cluster
from tests.cases import case
from tests.cases.small_product import Products, carried, catalog, findings
from tests.schemas import database

# A table whose names are no plain words, and its column that names schools.
ODD_NAMES = {
    "spaces": ("Order Details", "School ID"),
    "accents": ("élèves", "école_id"),
    "dollars": ("a$b", "school$id"),
}
# By table: what names school 1, and no foreign key says so.
LEADS_TO_A_SCHOOL = {
    "transfers": "CREATE TABLE transfers (id integer PRIMARY KEY, home_school_id integer);"
    "INSERT INTO transfers VALUES (1, 1)",
    "Enrolments": 'CREATE TABLE "Enrolments" (id integer PRIMARY KEY, "schoolId" integer);'
    'INSERT INTO "Enrolments" VALUES (1, 1)',
    "taggings": "CREATE TABLE taggings (id integer PRIMARY KEY, taggable_type text, taggable_id integer);"
    "INSERT INTO taggings VALUES (1, 'Apangea::School', 1)",
    "bundles": "CREATE TABLE bundles (id integer PRIMARY KEY, school_ids integer[]);"
    "INSERT INTO bundles VALUES (1, '{1,2}')",
    "remarks": "CREATE TABLE django_content_type (id integer PRIMARY KEY, app_label text, model text);"
    "CREATE TABLE remarks (id integer PRIMARY KEY, content_type_id integer REFERENCES django_content_type,"
    " object_id integer);"
    "INSERT INTO django_content_type VALUES (7, 'app', 'school'); INSERT INTO remarks VALUES (1, 7, 1)",
    "journal": "CREATE SCHEMA audit; CREATE TABLE audit.journal (id integer, school_id integer);"
    "INSERT INTO audit.journal VALUES (1, 1)",
    "remote_students": "RESET ROLE; CREATE EXTENSION postgres_fdw;"
    "CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname 'x');"
    "CREATE FOREIGN TABLE remote_students (id integer, school_id integer) SERVER s",
}


@dataclass(frozen=True, kw_only=True)
class Told:
    """Findings on a database in which much leads to schools without a foreign key."""

    findings: str  # by archive.check-catalog, with a catalog of schools alone
    draft: str  # by archive.catalog-draft


@pytest.fixture
def products(cluster: Cluster, store_server: Store, tmp_path: Path) -> Products:
    """Return the databases that products are made in."""
    return Products(cluster=cluster, store=store_server, folder=tmp_path)


@pytest.fixture(scope="module")
def told(cluster: Cluster, store_server: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Look at such a database."""
    products = Products(cluster=cluster, store=store_server, folder=tmp_path_factory.mktemp("catalogs"))
    with products.product(";".join(LEADS_TO_A_SCHOOL.values()), catalog()) as world:
        drafted = draft(read_environment(world.environment), "schools")
        yield Told(findings=repr(findings(world)), draft=draft_text(drafted))


@case("archiver 17", "the draft writes links that the catalog's own reader refuses", raises=(Problems,))
@pytest.mark.parametrize(("table", "column"), ODD_NAMES.values(), ids=ODD_NAMES)
def test_a_table_with_an_odd_name_is_drafted_and_carried(products: Products, table: str, column: str) -> None:
    script = f'CREATE TABLE "{table}" (id integer PRIMARY KEY, "{column}" integer REFERENCES schools);'
    with products.product(f'{script} INSERT INTO "{table}" VALUES (1, 1), (2, 2)') as world:
        carried(world, f'"{table}" WHERE "{column}" = 1')


@pytest.mark.parametrize("table", LEADS_TO_A_SCHOOL)
def test_a_table_that_references_schools_in_another_way_is_seen_by_check_catalog(told: Told, table: str) -> None:
    assert table in told.findings


@pytest.mark.parametrize("table", LEADS_TO_A_SCHOOL)
def test_a_table_that_references_schools_in_another_way_is_in_the_draft(told: Told, table: str) -> None:
    """Carried, or excluded or ignored with a reason: a person reads it there, and decides."""
    assert table in told.draft


def test_tables_in_camel_case_are_seen_from_the_root() -> None:
    live = database(School="id, name", Student="id, schoolId?")
    drafted = draft({MASTER: live}, "School")

    assert "Student" in draft_text(drafted)
