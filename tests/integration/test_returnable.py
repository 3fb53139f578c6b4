"""Rows that their foreign keys would not take back stay live, unless the operator accepts that."""

from __future__ import annotations

from pathlib import Path

import pytest

from archiver.records.archive_request import ArchiveRequest
from archiver.runs import archive as archive_module
from errors import RefusedError
from inventory.catalog import DEFAULT_DEPTH
from inventory.keys import Key
from tests import oracle
from tests.cases.products import Product, run, schools, standing
from tests.worlds import YEAR, NewWorld, World, raise_failure, same

THINGS = "things: {group: thing, found_by: [school_id = schools.id]}"
TABLES = """
CREATE TABLE rooms (id integer, floor integer, PRIMARY KEY (id, floor));
CREATE TABLE things (id integer PRIMARY KEY, school_id integer REFERENCES schools, room integer, floor integer);
INSERT INTO rooms VALUES (1, 1);
INSERT INTO things VALUES (1, 1, 1, 1), (2, 1, 9, 1), (3, 1, 9, NULL), (4, 2, 9, 9);
ALTER TABLE things ADD CONSTRAINT lies FOREIGN KEY (room, floor) REFERENCES rooms NOT VALID;
"""
ELSEWHERE = """
CREATE SCHEMA depot; CREATE TABLE depot.rooms (id integer PRIMARY KEY);
CREATE TABLE things (id integer PRIMARY KEY, school_id integer REFERENCES schools, room integer);
INSERT INTO things VALUES (1, 1, NULL), (2, 1, 9), (3, 1, NULL), (4, 2, NULL);
ALTER TABLE things ADD CONSTRAINT lies FOREIGN KEY (room) REFERENCES depot.rooms NOT VALID;
"""
PRODUCTS: dict[str, tuple[Product, str]] = {
    "a key of two columns that was never validated": (
        schools(TABLES, THINGS, excluded="{rooms: stay}"),
        "things.lies (1)",
    ),
    "a key to a table of another schema": (schools(ELSEWHERE, THINGS), "things.lies (1)"),
}


@pytest.fixture(params=PRODUCTS.values(), ids=list(PRODUCTS))
def product(request: pytest.FixtureRequest) -> tuple[Product, str]:
    named: tuple[Product, str] = request.param
    return named


def archive(world: World, *tenants: int, accept_orphans: bool = False) -> None:
    """Archive schools one by one."""
    with world.archiver() as archiver:
        wanted = [archive_module.tenant_to_archive(archiver, tenant, YEAR) for tenant in tenants]
        request = ArchiveRequest(year=YEAR, depth=DEFAULT_DEPTH, accept_orphans=accept_orphans)
        archive_module.archive(archiver, wanted, request, raise_failure)


def test_rows_that_refer_to_nothing_are_counted_and_refused(
    new_world: NewWorld, tmp_path: Path, product: tuple[Product, str]
) -> None:
    with standing(new_world, tmp_path, product[0]) as world:
        before = oracle.snapshot(world.dsns)

        with pytest.raises(RefusedError) as caught:
            archive(world, 1)

        assert product[1] in str(caught.value)
        assert "--accept-orphans" in caught.value.hint
        same(before, oracle.snapshot(world.dsns))


def test_rows_that_refer_to_nothing_go_if_that_is_accepted_and_the_log_counts_them(
    new_world: NewWorld, tmp_path: Path, product: tuple[Product, str]
) -> None:
    with standing(new_world, tmp_path, product[0]) as world:
        archive(world, 1, accept_orphans=True)

        assert run(world, "master", "SELECT count(*) FROM things WHERE school_id = 1") == [(0,)]
        assert run(world, "master", "SELECT details -> 'orphans' FROM archiver.log WHERE act = 'archive'") == [
            ({"things.lies": 1},)
        ]


def test_in_a_set_only_the_school_with_such_rows_stays(
    new_world: NewWorld, tmp_path: Path, product: tuple[Product, str]
) -> None:
    with standing(new_world, tmp_path, product[0]) as world:
        run(world, "master", "DELETE FROM things WHERE id = 4; ANALYZE")
        refused: dict[Key, str] = {}

        world.archive_together(1, 2, on_result=lambda one: refused.update({one.item: str(one.error or "")}))

        assert refused[2] == ""
        assert product[1] in refused[1]
        assert run(world, "master", "SELECT count(*) FROM things WHERE school_id = 1") == [(3,)]
