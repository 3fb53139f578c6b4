"""A database's schema written in a short form, for tests that need no server."""

from __future__ import annotations

import re
from collections.abc import Mapping

from archiver.completeness.live import LiveCatalogue, LiveForeignKey
from archiver.postgres.schema import Column, Table

ON_DELETE = {"cascade": "c", "null": "n"}
COLUMN = re.compile(r"(\w+)( \w+)?(\?)?(?: -> (\w+)(?: (\w+))?)?")


def database(*, types: Mapping[tuple[str, str], tuple[str, ...]] | None = None, **tables: str) -> LiveCatalogue:
    """Tables by name, each as `id, room_id? -> rooms cascade`: a question mark where a column may be NULL.

    The key is `id` where there is one, else what stands before a colon. `(a, b) -> orders(x, y)` after a semicolon is
    a foreign key of several columns.
    """
    keys, shapes = list[LiveForeignKey](), dict[str, Table]()
    for name, text in tables.items():
        columns, *wide = text.split(";")
        primary, _, columns = columns.rpartition(":")
        shapes[name] = _table(_names(primary) or ("id",), columns)
        keys += [_key(name, found) for found in COLUMN.finditer(columns) if found[4]]
        keys += [_wide(name, text) for text in wide]
    return LiveCatalogue(tables=shapes, references=tuple(keys), types=types or {}, sizes={})


def _table(primary: tuple[str, ...], text: str) -> Table:
    columns = tuple(
        Column(
            name=found[1],
            type=(found[2] or "integer").strip(),
            not_null=not found[3],
            identity=False,
            generated=None,
            sequence=None,
        )
        for part in text.split(",")
        if (found := COLUMN.match(part.strip()))
    )
    names = {column.name for column in columns}
    return Table(
        columns=columns, primary_key=primary if names.issuperset(primary) else (), constraints={}, foreign_keys=()
    )


def _key(table: str, found: re.Match[str]) -> LiveForeignKey:
    return LiveForeignKey(
        name=f"{table}_{found[1]}_fkey",
        table=table,
        columns=(found[1],),
        target=found[4],
        target_columns=("id",),
        on_delete=ON_DELETE.get(found[5], "a"),
    )


def _wide(table: str, text: str) -> LiveForeignKey:
    columns, target, target_columns = re.findall(r"\((.+)\) -> (\w+)\((.+)\)", text)[0]
    return LiveForeignKey(
        name=f"{table}_{'_'.join(_names(columns))}_fkey",
        table=table,
        columns=_names(columns),
        target=target,
        target_columns=_names(target_columns),
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(re.findall(r"\w+", text))
