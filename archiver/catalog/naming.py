"""Rails naming conventions: the noun for a table's row, the table of a class. Pure."""

from __future__ import annotations

import re


def singular(table: str) -> str:
    """Return the singular of a Rails table name: activities → activity, classes → class, schools → school."""
    for plural, single in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("s", "")):
        if table.endswith(plural):
            return table.removesuffix(plural) + single
    return table


def table_of_class(name: str) -> str:
    """Return the singular table name of a Rails class: ClassRoom → class_room."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
