"""What a product's names say: a table by one of its rows, a class by its table. Pure."""

from __future__ import annotations

import re


def singular(table: str) -> str:
    """A Rails table name as one of its rows: activities, activity; classes, class; schools, school."""
    for plural, single in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("s", "")):
        if table.endswith(plural):
            return table.removesuffix(plural) + single
    return table


def table_of_class(name: str) -> str:
    """A Rails class as its table's stem: ClassRoom, class_room."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
