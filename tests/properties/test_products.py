"""Random products, out and back, and those that once came back wrong; `make torture` tries hundreds more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from archiver.checks.integrity import check_integrity
from archiver.runs import setup
from tests.properties.cases import GROUND, try_products
from tests.properties.ground import build
from tests.properties.pinned import PINNED
from tests.properties.product import Product
from tests.properties.trial import out_and_back
from tests.worlds import NewWorld, World

CASES = 24


@pytest.fixture(scope="module")
def ground(new_world: NewWorld) -> Iterator[World]:
    """Databases in which each product takes the place of the one before."""
    with new_world(GROUND) as world:
        yield world


@pytest.mark.parametrize("product", PINNED.values(), ids=PINNED)
def test_what_once_came_back_wrong_comes_back_whole(ground: World, tmp_path: Path, product: Product) -> None:
    out_and_back(ground, product, tmp_path / "catalog.yaml")


@pytest.mark.parametrize("product", PINNED.values(), ids=PINNED)
def test_integrity_looks_through_any_product(ground: World, tmp_path: Path, product: Product) -> None:
    built = build(ground, product, tmp_path / "catalog.yaml")
    with setup.databases_of(built.world.environment, "test") as place:
        assert all(0 < len(found.examples) <= found.rows for found in check_integrity(place))


def test_tenants_of_any_product_go_out_and_come_back_whole(ground: World, tmp_path: Path) -> None:
    try_products(ground, tmp_path / "catalog.yaml", CASES)
