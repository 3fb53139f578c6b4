"""Columns of any type, and links between two types: carried whole, or named before a school is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from inventory.model import Store
from rehearsal.postgres_server import Cluster
from tests.cases.small_product import OF_SCHOOL, Products, carried_or_named, catalog

THINGS = "CREATE TABLE things (id integer PRIMARY KEY, school_id integer REFERENCES schools, held {}); "
FIRST = "INSERT INTO things VALUES (1, 1, {});"
IS_ZIP = "CREATE FUNCTION is_zip(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT $1 ~ '^[0-9]+$' $$;"
SLUG = "CREATE FUNCTION slug(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT lower($1) $$;"
SCRIPTS = {
    "a composite type": "CREATE TYPE address AS (street text, zip text);"
    + THINGS.format("address")
    + FIRST.format("ROW('a', '1')"),
    "a range type": "CREATE TYPE floats AS RANGE (subtype = float8);"
    + THINGS.format("floats")
    + FIRST.format("'[1.5,2)'"),
    "a domain with a constraint not valid": "CREATE DOMAIN zip AS text;"
    + THINGS.format("zip")
    + FIRST.format("'12345'")
    + "ALTER DOMAIN zip ADD CONSTRAINT five CHECK (length(value) = 5) NOT VALID;",
    "a check that calls a function": IS_ZIP + THINGS.format("text CHECK (is_zip(held))") + FIRST.format("'12'"),
    "a generated column that calls a function": SLUG
    + THINGS.format("text, slug text GENERATED ALWAYS AS (slug(held)) STORED")
    + FIRST.format("'Ab'"),
    "a check over the whole row": THINGS.format("integer")
    + "ALTER TABLE things ADD CHECK (things IS NOT NULL OR held IS NULL);"
    + FIRST.format("1"),
    "the name of a table": THINGS.format("regclass") + FIRST.format("'schools'"),
}
IN_A_SCHEMA = """
CREATE SCHEMA extensions; GRANT USAGE ON SCHEMA extensions TO public;
CREATE EXTENSION citext SCHEMA extensions; CREATE EXTENSION ltree SCHEMA extensions;
"""
COURSES = "CREATE TABLE courses (code {} PRIMARY KEY, school_id integer REFERENCES schools);"
MARKS = "CREATE TABLE marks (id integer PRIMARY KEY, course_code {}{});"
# The types of a course's code and of the column that names it, then the codes of school 1 and of school 2.
TWO_TYPES = {
    "a number named by text": ("bigint", "varchar(255)", "1", "2"),
    "a uuid named by text": (
        "uuid",
        "text",
        "00000000-0000-4000-8000-00000000000a",
        "00000000-0000-4000-8000-00000000000b",
    ),
    "padded text of two lengths": ("char(5)", "char(8)", "ab", "cd"),
    "padded text named by text": ("char(5)", "varchar(8)", "ab", "cd"),
    "a day named by a moment": ("date", "timestamp REFERENCES courses", "2014-01-01", "2014-01-02"),
}


@pytest.fixture
def products(cluster: Cluster, store_server: Store, tmp_path: Path) -> Products:
    """Return the databases that products are made in."""
    return Products(cluster=cluster, store=store_server, folder=tmp_path)


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS)
def test_a_table_that_is_more_than_plain_columns_is_carried_or_named(products: Products, script: str) -> None:
    with products.product(script) as world:
        carried_or_named(world, "things")


@pytest.mark.parametrize(("extension", "value"), [("citext", "Ab"), ("hstore", "a=>1")])
def test_a_type_of_an_extension_is_carried_or_named(products: Products, extension: str, value: str) -> None:
    script = THINGS.format(f"public.{extension}") + FIRST.format(f"'{value}'")
    with products.product(script, setup=f"CREATE EXTENSION {extension}") as world:
        carried_or_named(world, "things")


def test_an_enum_of_another_schema_is_carried_or_named(products: Products) -> None:
    script = (
        "CREATE SCHEMA app; CREATE TYPE app.mood AS ENUM ('a', 'b');" + THINGS.format("app.mood") + FIRST.format("'a'")
    )
    with products.product(script) as world:
        carried_or_named(world, "things")


def test_a_row_that_references_a_citext_key_in_another_case_goes_with_it(products: Products) -> None:
    """A fix that lets citext of `public` through meets this there, too."""
    script = COURSES.format("extensions.citext") + MARKS.format("extensions.citext", "")
    script += "INSERT INTO courses VALUES ('MATH', 1), ('art', 2); INSERT INTO marks VALUES (1, 'math'), (2, 'Art');"
    linked = catalog(courses=OF_SCHOOL, marks="found_by: [course_code = courses.code]")
    with products.product(script, linked, setup=IN_A_SCHEMA) as world:
        carried_or_named(world, "marks", going="marks WHERE id = 1")


def test_a_key_of_a_type_of_an_extension_is_carried_or_named(products: Products) -> None:
    script = COURSES.format("extensions.ltree") + "INSERT INTO courses VALUES ('a.b', 1), ('a.c', 2);"
    with products.product(script, catalog(courses=OF_SCHOOL), setup=IN_A_SCHEMA) as world:
        carried_or_named(world, "courses")


@pytest.mark.parametrize(("code", "named_by", "first", "other"), TWO_TYPES.values(), ids=TWO_TYPES)
def test_rows_that_reference_a_key_by_another_type_go_with_it_or_are_named(
    products: Products, code: str, named_by: str, first: str, other: str
) -> None:
    script = COURSES.format(code) + MARKS.format(named_by, "")
    script += f"INSERT INTO courses VALUES ('{first}', 1), ('{other}', 2);"
    script += f"INSERT INTO marks VALUES (1, '{first}'), (2, '{other}');"
    linked = catalog(courses=OF_SCHOOL, marks="found_by: [course_code = courses.code]")
    with products.product(script, linked) as world:
        carried_or_named(world, "marks", going="marks WHERE id = 1")
