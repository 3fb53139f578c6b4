"""A depth begins below the tenant: what it begins with may belong to another tenant by a row far above it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import oracle
from tests.cases.products import Product, run, standing
from tests.worlds import NewWorld, same

MASTER = """
CREATE TABLE schools (id bigint PRIMARY KEY, name text, shard text NOT NULL, district text, code text UNIQUE);
INSERT INTO schools VALUES (1, 'a', 'shard_1', 'p', 'u'), (2, 'b', 'shard_1', 'q', 'v'), (3, 'c', 'shard_1', 'p', 'w');
"""
SHARD = """
CREATE TABLE rooms (id bigint PRIMARY KEY, owner bigint, code text, district text);
CREATE TABLE shelves (id bigint PRIMARY KEY, room_id bigint);
CREATE TABLE things (id bigint PRIMARY KEY, shelf_id bigint);
INSERT INTO shelves SELECT id, id FROM generate_series(1, 3) id;
INSERT INTO things SELECT id, id FROM generate_series(1, 3) id;
"""
CATALOG = """
tenant: {{noun: school, table: schools, key: id, title: name, shard: shard}}
databases:
  master:
    schools: {{group: school}}
  shard:
    rooms: {{group: room, found_by: [{links}]}}
    shelves: {{group: room, found_by: [room_id = rooms.id]}}
    things: {{group: room, found_by: [shelf_id = shelves.id]}}
depths: {{all: {{start: schools}}, shelves: {{start: shelves}}, things: {{start: things}}}}
"""
# How rooms are found, and the rooms: the second belongs to school 2, which stays, and to one that goes.
SHARED = {
    "by two links": (
        "owner = master.schools.id, code = master.schools.code",
        "(1, 1, 'u', NULL), (2, 3, 'v', NULL), (3, 3, 'w', NULL)",
    ),
    "by a column that several schools have": (
        "district = master.schools.district",
        "(1, 1, NULL, 'p'), (2, 2, NULL, 'q'), (3, 3, NULL, 'q')",
    ),
}


def product(links: str, rooms: str) -> Product:
    return Product(
        tables=MASTER,
        catalog=CATALOG.format(links=links),
        shards={"shard_1": f"{SHARD} INSERT INTO rooms VALUES {rooms};"},
    )


@pytest.mark.parametrize("depth", ["shelves", "things"])
@pytest.mark.parametrize(("links", "rooms"), SHARED.values(), ids=SHARED)
def test_what_another_school_owns_by_a_row_above_stays_with_it(
    new_world: NewWorld, tmp_path: Path, links: str, rooms: str, depth: str
) -> None:
    """Of the run over many: the run for one asks what lives outside the school, however far above."""
    with standing(new_world, tmp_path, product(links, rooms)) as world:
        if "district" in links:  # school 3 moves to the district of school 2
            run(world, "master", "UPDATE schools SET district = 'q' WHERE id = 3")
        before, strategies = oracle.snapshot(world.dsns), list[str]()
        world.archive_together(1, 3, depth=depth, on_strategy=strategies.append)

        assert {2} <= {row[0] for row in run(world, "shard_1", "SELECT id FROM things")}
        assert any(strategy.startswith(f"one by one: rows of shard.{depth}") for strategy in strategies), strategies
        world.restore(1, 3)
        same(before, oracle.snapshot(world.dsns))


@pytest.mark.parametrize("depth", ["shelves", "things"])
def test_where_each_row_above_has_one_school_they_go_in_sets(new_world: NewWorld, tmp_path: Path, depth: str) -> None:
    alone = "(1, 1, NULL, NULL), (2, 2, NULL, NULL), (3, 3, NULL, NULL)"
    with standing(new_world, tmp_path, product("owner = master.schools.id", alone)) as world:
        before, strategies = oracle.snapshot(world.dsns), list[str]()
        world.archive_together(1, 3, depth=depth, on_strategy=strategies.append)

        assert not any(strategy.startswith("one by one") for strategy in strategies), strategies
        assert run(world, "shard_1", "SELECT id FROM things") == [(2,)]
        world.restore(1, 3)
        same(before, oracle.snapshot(world.dsns))
