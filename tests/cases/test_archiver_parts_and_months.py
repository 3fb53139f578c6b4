"""A part of a school, and a past month: rows that are left out because their columns read unlike what is written."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from archiver.catalog.model import Part
from errors import RefusedError, UsageError
from inventory.model import Store
from rehearsal.postgres_server import Cluster
from tests.cases.small_product import OF_SCHOOL, Products, catalog, count
from tests.months import archive_months
from tests.worlds import sql

ROOMS = """
CREATE TABLE rooms (id integer PRIMARY KEY, school_id integer REFERENCES schools);
INSERT INTO rooms VALUES (1, 1), (2, 1), (3, 2);
"""
TAGS = "CREATE TABLE tags (id integer PRIMARY KEY, room_id {});"
# The tag of room 1 and one that belongs elsewhere, and by which link tags are found.
LINKS = {
    "a condition on a truth": (
        TAGS.format("integer, live boolean") + "INSERT INTO tags VALUES (1, 1, true), (3, 3, true)",
        "room_id = rooms.id where live = true",
    ),
    "a condition on padded text": (
        TAGS.format("integer, kind char(8)") + "INSERT INTO tags VALUES (1, 1, 'Room'), (3, 3, 'Room')",
        "room_id = rooms.id where kind = Room",
    ),
    "a condition with a backslash": (
        TAGS.format("integer, kind text") + r"INSERT INTO tags VALUES (1, 1, 'a\b'), (3, 3, 'a\b')",
        r"room_id = rooms.id where kind = a\b",
    ),
    "a key with decimals": (
        TAGS.format("numeric") + "INSERT INTO tags VALUES (1, 1.0), (3, 3)",
        "room_id = rooms.id",
    ),
    "a generated column": (
        TAGS.format("integer GENERATED ALWAYS AS (twice / 2) STORED, twice integer")
        + "INSERT INTO tags (id, twice) VALUES (1, 2), (3, 6)",
        "room_id = rooms.id",
    ),
}
VISITS = """
CREATE TABLE visits (id integer PRIMARY KEY, school_id integer REFERENCES schools, ended date);
INSERT INTO visits VALUES (1, 1, '2012-10-30'), (2, 1, '2012-10-31'), (3, 1, '2012-11-01');
"""


@pytest.fixture
def products(cluster: Cluster, store_server: Store, tmp_path: Path) -> Products:
    """Return the databases that products are made in."""
    return Products(cluster=cluster, store=store_server, folder=tmp_path)


@pytest.mark.parametrize(("tags", "link"), LINKS.values(), ids=LINKS)
def test_a_part_comes_back_with_all_its_rows_or_the_link_is_named(products: Products, tags: str, link: str) -> None:
    found_by = {"rooms": OF_SCHOOL, "tags": f"found_by: ['{link}']"}
    with products.product(ROOMS + tags, catalog(tenant=", parts: {room: rooms}", **found_by)) as world:
        world.archive(1)
        try:
            world.restore(1, only=Part("room", 1))
        except (RefusedError, UsageError) as refusal:
            assert "tags" in str(refusal)
            assert count(world, "rooms WHERE school_id = 1") == 0
        else:
            assert count(world, "tags WHERE id = 1") == 1


def left_live(products: Products, script: str, zone: str) -> list[str]:
    """The rows that are live after October 2012 was archived and all before it, as text of UTC."""
    found_by = catalog(rest="activity: {visits: {ended: ended}}\n", visits=OF_SCHOOL)
    with products.product(script, found_by) as world:
        archive_months(replace(world, environment=replace(world.environment, timezone=zone)), date(2012, 12, 5))
        with sql(world, "master") as cursor:
            cursor.execute("SET timezone = 'UTC'; SELECT ended::text FROM visits ORDER BY ended")
            return [row[0] for row in cursor.fetchall()]


ZONES = ["Europe/Berlin", "Asia/Tokyo", "UTC", "America/New_York", "Pacific/Kiritimati"]


@pytest.mark.parametrize("zone", ZONES)
def test_a_day_of_the_calendar_goes_with_the_month_that_it_names(products: Products, zone: str) -> None:
    assert left_live(products, VISITS, zone) == ["2012-11-01"]


MOMENTS = """
CREATE TABLE visits (id integer PRIMARY KEY, school_id integer REFERENCES schools, ended {kind});
INSERT INTO visits VALUES (1, 1, '{last}'), (2, 1, '{first}');
"""
# The last second of October 2012 and the first of November there, in UTC.
MIDNIGHTS = {
    "Asia/Tokyo": ("2012-10-31 14:59:59", "2012-10-31 15:00:00"),
    "America/New_York": ("2012-11-01 03:59:59", "2012-11-01 04:00:00"),
}


@pytest.mark.parametrize("kind", ["timestamptz", "timestamp", "timestamptz(0)"])
@pytest.mark.parametrize("zone", MIDNIGHTS)
def test_a_moment_goes_with_the_month_of_the_product_s_zone(products: Products, zone: str, kind: str) -> None:
    """A timestamp without a zone is UTC, as the products of this kind write it."""
    last, first = MIDNIGHTS[zone]
    script = MOMENTS.format(kind=kind, last=f"{last}+00", first=f"{first}+00")

    assert [text[:19] for text in left_live(products, script, zone)] == [first]
