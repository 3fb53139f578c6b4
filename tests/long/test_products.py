"""Random products, out and back, and those that once came back wrong; `make torture` tries hundreds more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.checks.integrity import check_integrity
from archiver.runs import setup
from tests.properties.cases import DATABASES, try_products
from tests.properties.databases import build
from tests.properties.pinned import PINNED
from tests.properties.product import Product
from tests.properties.trial import out_and_back
from tests.worlds import NewWorld, World

CASES = 24


@pytest.fixture(scope="module")
def shared_world(new_world: NewWorld) -> Iterator[World]:
    """Databases in which each product takes the place of the one before."""
    with new_world(DATABASES) as world:
        yield world


@pytest.mark.parametrize("product", PINNED.values(), ids=PINNED)
def test_products_that_once_came_back_wrong_come_back_whole(
    shared_world: World, tmp_path: Path, product: Product
) -> None:
    out_and_back(shared_world, product, tmp_path / "catalog.yaml")


@pytest.mark.parametrize("product", PINNED.values(), ids=PINNED)
def test_integrity_is_checked_in_any_product(shared_world: World, tmp_path: Path, product: Product) -> None:
    built = build(shared_world, product, tmp_path / "catalog.yaml")
    with setup.databases_of(built.world.environment, "test") as place:
        assert all(0 < len(found.examples) <= found.rows for found in check_integrity(place))


def test_tenants_of_any_product_go_out_and_come_back_whole(shared_world: World, tmp_path: Path) -> None:
    try_products(shared_world, tmp_path / "catalog.yaml", CASES)
