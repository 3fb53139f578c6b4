"""Keys that are equal though their texts differ, and keys that are not equal but would be if they were cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from archiver.catalog.model import Part
from inventory.model import Store
from rehearsal.postgres_server import Cluster
from tests import oracle
from tests.cases.small_product import OF_SCHOOL, Products, catalog, count, findings
from tests.worlds import same

# Types of a code and of the column that names it; a code as school 1 has it, and as school 2 names the same row.
EQUAL = {
    "zeros": ("double precision", "double precision", "0", "-0"),
    "padded": ("character(5)", "character(8)", "Ann", "Ann"),
    "scales": ("numeric", "numeric(5,2)", "1.5", "1.50"),
}
# Types of the same; a code of school 1, and a code of school 2 that the first would be if it were cut or rounded.
NARROW = {
    "shorter": ("text", "varchar(3)", "abcd", "abc"),
    "shorter_padded": ("text", "character(3)", "abcd", "abc"),
    "rounded": ("numeric", "numeric(5,1)", "1.23", "1.2"),
    "whole": ("numeric", "bigint", "1.5", "2"),
    "times": ("timestamp", "timestamp(0)", "2014-01-01 10:00:00.3", "2014-01-01 10:00:00"),
    "bits": ("bit varying(3)", "bit varying(2)", "101", "10"),
}
KEYS = {"booleans": ("boolean", "true"), "documents": ("jsonb", "{}"), "ranges": ("int4range", "[1,3)")}
UNFIT = ("interval", "jsonb", "numrange", "numeric[]")

_SHARED = """
CREATE TABLE {0} (id integer PRIMARY KEY, school_id integer, named {2}); CREATE TABLE {0}_named (code {1} PRIMARY KEY);
INSERT INTO {0} VALUES (1, 1, '{3}'), (2, 2, '{4}'); INSERT INTO {0}_named VALUES ('{3}');
"""
_CUT = """
CREATE TABLE {0} (code {1} PRIMARY KEY, school_id integer); CREATE TABLE {0}_below (named {2});
INSERT INTO {0} VALUES ('{3}', 1), ('{4}', 2); INSERT INTO {0}_below VALUES ('{4}');
"""
_KEY = "CREATE TABLE {0} (key {1} PRIMARY KEY, school_id integer); INSERT INTO {0} VALUES ('{2}', 1);"


@pytest.fixture
def products(cluster: Cluster, store_server: Store, tmp_path: Path) -> Products:
    """Return the databases that products are made in."""
    return Products(cluster=cluster, store=store_server, folder=tmp_path)


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in a set"])
def test_a_row_is_found_by_all_keys_that_equal_its_own_and_by_no_other(products: Products, *, together: bool) -> None:
    script = "".join(
        [
            *(_SHARED.format(name, *each) for name, each in EQUAL.items()),
            *(_CUT.format(name, *each) for name, each in NARROW.items()),
            *(_KEY.format(name, *each) for name, each in KEYS.items()),
        ]
    )
    linked = catalog(
        **dict.fromkeys([*EQUAL, *NARROW, *KEYS], OF_SCHOOL),
        **{f"{name}_named": f"found_by: [code = {name}.named]" for name in EQUAL},
        **{f"{name}_below": f"found_by: [named = {name}.code]" for name in NARROW},
    )
    with products.product(script, linked) as world:
        before = oracle.snapshot(world.dsns)
        (world.archive_together if together else world.archive)(1)
        left = {name: (count(world, name), count(world, f"{name}_named")) for name in EQUAL}
        left |= {name: (count(world, name), count(world, f"{name}_below")) for name in NARROW}
        assert left == dict.fromkeys([*EQUAL, *NARROW], (1, 1))
        assert {name: count(world, name) for name in KEYS} == dict.fromkeys(KEYS, 0)
        world.restore(1)
        same(before, oracle.snapshot(world.dsns))


def test_a_link_by_values_that_are_equal_in_several_texts_is_named(products: Products) -> None:
    """A table without columns beside it is no obstacle."""
    script = "CREATE TABLE nothing ();" + "".join(
        f"CREATE TABLE rooms{number} (id integer PRIMARY KEY, school_id integer, tutor {kind});"
        f"CREATE TABLE tutors{number} (code {kind});"
        for number, kind in enumerate(UNFIT)
    )
    linked = catalog(
        **{f"rooms{number}": OF_SCHOOL for number in range(len(UNFIT))},
        **{f"tutors{number}": f"found_by: [code = rooms{number}.tutor]" for number in range(len(UNFIT))},
    )
    with products.product(script, linked) as world:
        assert sorted(findings(world).problems) == [
            f"master.tutors{number}.code ({kind}) = master.rooms{number}.tutor ({kind}): "
            f"rows cannot be linked by {kind}, of which equal values may be written differently"
            for number, kind in enumerate(UNFIT)
        ]


def test_a_row_below_a_zero_comes_back_with_its_part(products: Products) -> None:
    script = (
        "CREATE TABLE rooms (id integer PRIMARY KEY, school_id integer); INSERT INTO rooms VALUES (1, 1);"
        "CREATE TABLE codes (code double precision PRIMARY KEY, room_id integer); INSERT INTO codes VALUES (0, 1);"
        "CREATE TABLE notes (id integer PRIMARY KEY, code double precision); INSERT INTO notes VALUES (1, '-0');"
    )
    linked = catalog(
        tenant=", parts: {room: rooms}",
        rooms=OF_SCHOOL,
        codes="found_by: [room_id = rooms.id]",
        notes="found_by: [code = codes.code]",
    )
    with products.product(script, linked) as world:
        world.archive(1)
        world.restore(1, only=Part(noun="room", id=1))
        assert count(world, "notes") == 1
