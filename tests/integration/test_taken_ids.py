"""Ids of archived rows that others took meanwhile, or would be given: the plan names them, and the restore refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import RefusedError
from inventory.model import Store
from rehearsal.postgres_server import Cluster
from tests import oracle
from tests.cases.products import run
from tests.cases.small_product import OF_SCHOOL, Products, catalog
from tests.worlds import same

CATALOG = catalog(things=OF_SCHOOL)
CYCLE = """
CREATE SEQUENCE numbers MAXVALUE 3 CYCLE;
CREATE TABLE things (id integer PRIMARY KEY DEFAULT nextval('numbers'), school_id integer);
INSERT INTO things (school_id) VALUES (2), (1), (1);
"""


@pytest.fixture
def products(cluster: Cluster, store_server: Store, tmp_path: Path) -> Products:
    """Return the databases that products are made in."""
    return Products(cluster=cluster, store=store_server, folder=tmp_path)


def test_a_live_row_with_the_id_of_an_archived_one_is_in_the_way(products: Products) -> None:
    things = "CREATE TABLE things (id integer PRIMARY KEY, school_id integer, name text);"
    with products.product(things + "INSERT INTO things VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'c')", CATALOG) as world:
        before = oracle.snapshot(world.dsns)
        world.archive(1)
        run(world, "master", "INSERT INTO things VALUES (2, 2, 'another')")
        taken = "master.things: the unique index things_pkey is taken: archived 2 by live 2"

        plan = world.plan(1)
        assert plan.refused and [str(each) for each in plan.comparison.refusals] == [taken]
        with pytest.raises(RefusedError, match=taken):
            world.restore(1)

        run(world, "master", "DELETE FROM things WHERE id = 2")
        world.restore(1)
        same(before, oracle.snapshot(world.dsns))


def test_a_sequence_that_would_begin_anew_is_in_the_way(products: Products) -> None:
    with products.product(CYCLE, CATALOG) as world:
        world.archive(1)
        with pytest.raises(RefusedError, match=r"public\.numbers would give out 1 next, before the archived id 3"):
            world.restore(1)
