"""The depths of a catalog: mistakes that the catalog alone shows. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

from inventory.catalog import DEFAULT_DEPTH, Catalog

NAME = re.compile(r"[\w-]+", re.ASCII)  # it is written without quotes on command lines


def depth_mistakes(catalog: Catalog, tables: Collection[str]) -> Iterable[str]:
    """Yield every mistake in the depths: `tables` are the names of the carried tables.

    The live databases show if a depth is a tree: see archiver/completeness/depths.py.
    """
    if DEFAULT_DEPTH not in catalog.depths:
        yield f"depths/{DEFAULT_DEPTH}: expected a table to start from, got nothing"
    for name, rule in catalog.depths.items():
        if not NAME.fullmatch(name):
            yield f"depths/{name}: expected a name of letters, digits, - and _, got {name!r}"
        if rule.start not in tables:
            yield f"depths/{name}: expected a table to start from, got {rule.start!r}"
        for number, table in enumerate(rule.stay, start=1):
            if table not in tables:
                yield f"depths/{name}/stay/{number}: expected a table of the catalog, got {table!r}"
            if table == rule.start:
                yield f"depths/{name}/stay/{number}: expected another table than the one to start from, got {table!r}"
