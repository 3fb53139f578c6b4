"""Oddities beside random products: each is refused and has changed no row, or all is archived and comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.properties.cases import DATABASES, try_oddities
from tests.properties.oddities import KINDS
from tests.worlds import NewWorld, World

CASES = 5  # of each kind; `make torture` tries hundreds


@pytest.fixture(scope="module")
def shared_world(new_world: NewWorld) -> Iterator[World]:
    """Databases in which each product takes the place of the one before."""
    with new_world(DATABASES) as world:
        yield world


@pytest.mark.parametrize("kind", KINDS)
def test_an_oddity_of_any_product_is_refused_or_harms_no_row(
    shared_world: World, tmp_path: Path, counted: Callable[[str, int], None], kind: str
) -> None:
    for end, number in try_oddities(shared_world, tmp_path / "catalog.yaml", kind, CASES).items():
        counted(end, number)
