"""Keys that are equal though their texts differ, and keys that are not equal but would be if they were cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import Problems
from inventory.model import Store
from rehearsal.postgres_server import Cluster
from tests.cases.small_product import OF_SCHOOL, Products, catalog, count, findings
from tests.worlds import World

ROOMS = """
CREATE TABLE rooms (id integer PRIMARY KEY, school_id integer, tutor {named});
CREATE TABLE tutors (code {code} PRIMARY KEY);
"""
CATALOG = catalog(rooms=OF_SCHOOL, tutors="found_by: [code = rooms.tutor]")
# Types of a code and of the column that names it; a code as it stands, and as the other school names it.
EQUAL = {
    "a zero with a sign": ("double precision", "double precision", "0", "-0"),
    "padded text of two lengths": ("character(5)", "character(8)", "Ann", "Ann"),
    "numbers of two scales": ("numeric", "numeric(5,2)", "1.5", "1.50"),
}
# Types of the same; a code of school 1, and a code of school 2 that its cut or rounded value would be.
NARROW = {
    "text cut to its length": ("text", "varchar(3)", "abcd", "abc"),
    "padded text cut to its length": ("text", "character(3)", "abcd", "abc"),
    "a rounded number": ("numeric", "numeric(5,1)", "1.23", "1.2"),
    "a whole number": ("numeric", "bigint", "1.5", "2"),
    "a rounded time": ("timestamp", "timestamp(0)", "2014-01-01 10:00:00.3", "2014-01-01 10:00:00"),
    "bits": ("bit varying(3)", "bit varying(2)", "101", "10"),
}
UNFIT = ("interval", "jsonb", "numrange", "numeric[]")


@pytest.fixture
def products(cluster: Cluster, store_server: Store, tmp_path: Path) -> Products:
    """Return the databases that products are made in."""
    return Products(cluster=cluster, store=store_server, folder=tmp_path)


def archived(world: World, *, together: bool) -> None:
    (world.archive_together if together else world.archive)(1)


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in a set"])
def test_a_row_that_another_school_names_by_an_equal_key_stays_live(products: Products, *, together: bool) -> None:
    for code, named, value, other in EQUAL.values():
        script = ROOMS.format(code=code, named=named) + (
            f"INSERT INTO rooms VALUES (1, 1, '{value}'), (2, 2, '{other}'); INSERT INTO tutors VALUES ('{value}');"
        )
        with products.product(script, CATALOG) as world:
            archived(world, together=together)
            assert (count(world, "rooms"), count(world, "tutors")) == (1, 1), code


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in a set"])
def test_a_row_is_not_taken_for_one_whose_key_begins_alike(products: Products, *, together: bool) -> None:
    linked = catalog(rooms=OF_SCHOOL, notes="found_by: [room = rooms.code]")
    for code, named, value, other in NARROW.values():
        script = (
            f"CREATE TABLE rooms (code {code} PRIMARY KEY, school_id integer); CREATE TABLE notes (room {named});"
            f"INSERT INTO rooms VALUES ('{value}', 1), ('{other}', 2); INSERT INTO notes VALUES ('{other}');"
        )
        with products.product(script, linked) as world:
            archived(world, together=together)
            assert (count(world, "rooms"), count(world, "notes")) == (1, 1), code


@pytest.mark.parametrize("kind", UNFIT)
def test_a_link_by_values_that_are_equal_in_several_texts_is_refused(products: Products, kind: str) -> None:
    with products.product(ROOMS.format(code=kind, named=kind), CATALOG) as world:
        [told] = findings(world).problems
        assert told.startswith("master.tutors.code ") and f"cannot be linked by {kind}" in told
        with pytest.raises(Problems):
            world.archive(1)


def test_a_table_without_columns_is_read_like_any_other(products: Products) -> None:
    with products.product("CREATE TABLE nothing (); INSERT INTO nothing DEFAULT VALUES;", catalog()) as world:
        assert findings(world).problems == ()
