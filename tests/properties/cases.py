"""Tries random products, one after the other, on the same databases."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, given, note, seed, settings
from hypothesis import strategies as st

from tests.properties.oddities import oddities, out_and_back_beside
from tests.properties.product import Product
from tests.properties.products import products
from tests.properties.trial import out_and_back
from tests.properties.written import told
from tests.worlds import World

DATABASES = ("master", "shard_1", "shard_2")  # the databases it takes
# A product is large, and its databases take their time.
LARGE = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)


# Without a chance Hypothesis draws by the source of `come_back`: another name in it means other products.
def try_products(ground: World, catalog_file: Path, cases: int, chance: int | None = None) -> list[float]:
    """Try so many products, the same ones for the same `chance`; return the seconds that each took.

    Raises what the first one raised that fails, made as small as can be.
    """
    seconds = []

    @settings(
        max_examples=cases,
        derandomize=chance is None,
        database=None,
        deadline=None,
        suppress_health_check=LARGE,
    )
    @given(products())
    def come_back(product: Product) -> None:
        began = time.monotonic()
        note(f"chance {chance}")
        note(told(product))
        out_and_back(ground, product, catalog_file)
        seconds.append(time.monotonic() - began)

    (come_back if chance is None else seed(chance)(come_back))()
    return seconds


def try_oddities(ground: World, catalog_file: Path, kind: str, cases: int, chance: int | None = None) -> Counter[str]:
    """Try so many products with an oddity of this kind each; return how many were refused, and how many were done."""
    ends: Counter[str] = Counter()

    @settings(max_examples=cases, derandomize=chance is None, database=None, deadline=None, suppress_health_check=LARGE)
    @given(products(), st.data())
    def come_back_beside(product: Product, data: st.DataObject) -> None:
        oddity = data.draw(oddities(product, kind))
        note(f"chance {chance}")
        note(told(product))
        note(oddity.script())
        refused = out_and_back_beside(ground, product, oddity, catalog_file)
        note(refused)
        ends[f"products with a {kind} {'refused' if refused else 'archived and restored'}"] += 1

    (come_back_beside if chance is None else seed(chance)(come_back_beside))()
    return ends
