"""A part of an archive: the rows that steps lead to, by values alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from archiver.catalog.model import Link, TableName
from archiver.load.closure import Closure, lines_of, wanted_by
from archiver.load.links import LinkStep, below, named
from archiver.load.row_values import RowValues
from archiver.postgres.schema import Column, ForeignKey, Schema, Table

ROOMS, DESKS, FILES = (TableName("master", name) for name in ("rooms", "desks", "files"))
OF_ROOM = ("owner_type", "Room")


def step(source: TableName, column: str, target: TableName, to: str, **where: Any) -> LinkStep:
    return LinkStep(source=source, columns=(column,), target=target, target_columns=(to,), **where)


DOWN = step(ROOMS, "id", DESKS, "room_id")
CLOSURE = Closure(
    {
        ROOMS: RowValues(columns=("id",), rows=[("1",), ("2",)]),
        DESKS: RowValues(
            columns=("id", "room_id"), rows=[("10", "1"), ("11", "2"), ("12", None), ("13", "1"), ("14", None)]
        ),
        FILES: RowValues(
            columns=("id", "owner_id", OF_ROOM), rows=[("20", "1", True), ("21", "1", False), ("22", "1", None)]
        ),
    }
)


def test_rows_are_held_by_their_values() -> None:
    assert CLOSURE.holding(ROOMS, ["id"], ("1",)) == {0}
    assert CLOSURE.holding(ROOMS, ["id"], ("3",)) == set()


@pytest.mark.parametrize(
    ("start", "steps", "expected"),
    [
        ({ROOMS: {0}}, [DOWN], {ROOMS: {0}, DESKS: {0, 3}, FILES: set()}),  # not the rows of another room
        ({ROOMS: {0}}, [], {ROOMS: {0}, DESKS: set(), FILES: set()}),
        # NULL leads nowhere, and not to another NULL
        ({DESKS: {2}}, [step(DESKS, "room_id", DESKS, "room_id")], {ROOMS: set(), DESKS: {2}, FILES: set()}),
        ({DESKS: {0}}, [step(DESKS, "room_id", ROOMS, "id"), DOWN], {ROOMS: {0}, DESKS: {0, 3}, FILES: set()}),
        (
            {ROOMS: {0}},
            [step(ROOMS, "id", FILES, "owner_id", target_where=OF_ROOM)],
            {ROOMS: {0}, DESKS: set(), FILES: {0}},
        ),
        (
            {FILES: {1, 2}},
            [step(FILES, "owner_id", ROOMS, "id", source_where=OF_ROOM)],
            {ROOMS: set(), DESKS: set(), FILES: {1, 2}},
        ),
        ({FILES: {0}}, [step(FILES, "owner_id", ROOMS, "id", source_where=OF_ROOM)], {ROOMS: {0}, FILES: {0}}),
    ],
)
def test_steps_lead_to_the_rows_with_the_same_values(start: Any, steps: list[LinkStep], expected: Any) -> None:
    assert CLOSURE.follow(start, steps) == {DESKS: set(), **expected}


def test_a_step_asks_for_its_columns_and_its_conditions() -> None:
    conditional = step(FILES, "owner_id", ROOMS, "id", source_where=OF_ROOM)
    assert list(wanted_by([conditional])) == [(FILES, "owner_id"), (FILES, OF_ROOM), (ROOMS, "id")]
    assert list(wanted_by([DOWN])) == [(ROOMS, "id"), (DESKS, "room_id")]


def table(*columns: str, key: tuple[str, ...] = ("id",), to: str = "", generated: str = "") -> Table:
    keys = [ForeignKey(name="k", columns=("room_id",), target=to, target_columns=("id",))] if to else []
    return Table(
        columns=tuple(
            Column(
                name=name,
                type="integer",
                not_null=False,
                identity=False,
                generated="id + 1" if name == generated else None,
                sequence=None,
            )
            for name in columns
        ),
        primary_key=key,
        constraints={},
        foreign_keys=tuple(keys),
    )


def test_lines_are_read_of_the_rows_reached() -> None:
    schemas = {"master": Schema(tables={"rooms": table("id"), "desks": table("id")}, types={})}
    archive: Any = SimpleNamespace(
        manifest=SimpleNamespace(schemas=schemas), open=lambda member: iter([b"first", b"second"])
    )
    assert lines_of(archive, {ROOMS: {1}}) == {ROOMS: {1: b"second"}, DESKS: {}}


def test_rows_are_named_by_key_in_a_link_or_a_foreign_key() -> None:
    schemas = {
        "master": Schema(
            tables={"rooms": table("id"), "desks": table("id", "room_id", to="rooms"), "files": table("id", to="gone")},
            types={},
        )
    }
    up = Link(DESKS, ("room_id",), ROOMS, ("id",))
    down = Link(FILES, ("id",), DESKS, ("file_id",))
    neither = Link(FILES, ("word",), DESKS, ("word",))
    assert [(each.source, each.target) for each in named([up, down, neither], schemas)] == [
        *((DESKS, ROOMS), (DESKS, FILES)),
        (DESKS, ROOMS),  # by the foreign key; the one to a table that the archive lacks leads nowhere
    ]
    assert [(each.source, each.target) for each in below([up])] == [(ROOMS, DESKS)]
