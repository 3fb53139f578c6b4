"""Naming conventions of products: the noun for a table's row, the table of a class, columns that name rows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

CONTENT_TYPE = "content_type_id"  # Django's type column, beside object_id


def singular(table: str) -> str:
    """Return the singular of a Rails table name: activities → activity, classes → class, schools → school."""
    for plural, single in (("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("s", "")):
        if table.endswith(plural):
            return table.removesuffix(plural) + single
    return table


def table_of_class(name: str) -> str:
    """Return the singular table name of a class: ClassRoom, School::ClassRoom, App\\Models\\ClassRoom → class_room."""
    return snake_case(re.split(r"::|[./\\]", name)[-1])


def snake_case(name: str) -> str:
    """Return a name in lower case with underscores: schoolId → school_id."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def key_word(table: str) -> str:
    """Return the word for a key of a table's rows, as a column holds it: schools, School → school_id."""
    return f"{snake_case(singular(table))}_id"


def key_words(column: str) -> Iterator[str]:
    """Yield the words for a key that a column can mean, the closest first: homeSchoolId → home_school_id, school_id.

    A list of ids means the same: school_ids, schools_ids → school_id.
    """
    name = snake_case(column)
    if name.endswith("_ids"):
        name = key_word(name.removesuffix("_ids"))
    while name.endswith("_id"):
        yield name
        _, _, name = name.partition("_")


def id_column(type_column: str) -> str | None:
    """Return the column that has the id beside a type: taggable_type → taggable_id; None if it is no type column."""
    if type_column == CONTENT_TYPE:
        return "object_id"
    for type_, id_ in (("_type", "_id"), ("Type", "Id")):
        if type_column.endswith(type_):
            return type_column.removesuffix(type_) + id_
    return None
