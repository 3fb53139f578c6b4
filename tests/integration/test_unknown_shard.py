"""A school on no shard of the inventory fails alone, whatever the others are archived by."""

from __future__ import annotations

from pathlib import Path

import pytest

from archiver.runs import one_by_one
from inventory.keys import Key
from tests.cases.products import Product, run, standing
from tests.worlds import NewWorld

CATALOG = """
tenant: {noun: school, table: schools, key: id, title: name, shard: shard}
databases:
  master: {schools: {group: school}}
  shard: {notes: {group: note, found_by: [school_id = master.schools.id]}}
depths: {all: {start: schools}}
"""
PRODUCT = Product(
    tables="CREATE TABLE schools (id integer PRIMARY KEY, name text, shard text);"
    "INSERT INTO schools VALUES (1, 'a', 'shard_1'), (2, 'b', NULL), (3, 'c', 'shard_9');",
    catalog=CATALOG,
    shards={
        "shard_1": "CREATE TABLE notes (id integer, school_id integer);"
        "INSERT INTO notes VALUES (1, 1), (2, 2); ANALYZE notes;"
    },
)


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in a set"])
def test_a_school_on_no_shard_of_the_inventory_fails_alone(
    new_world: NewWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, together: bool
) -> None:
    monkeypatch.setattr(one_by_one, "FEW", 1000 if together else 0)  # rows for which a pass over all pays
    with standing(new_world, tmp_path, PRODUCT) as world:
        errors: dict[Key, str] = {}
        world.archive_together(1, 2, 3, on_result=lambda one: errors.update({one.item: str(one.error or "")}))
        assert errors == {
            1: "",
            2: "The empty name of a school's shard is not in the inventory (there: shard_1).",
            3: "Shard 'shard_9' is not in the inventory (there: shard_1).",
        }
        assert run(world, "shard_1", "SELECT id FROM notes") == [(2,)]
