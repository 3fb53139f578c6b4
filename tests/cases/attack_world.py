"""Helpers of the attacks: actions at given moments, processes that die, and rows counted at psql."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

import pytest

from errors import CutoverError
from inventory.keys import Key
from rehearsal.seed_plan import SCHOOL
from tests.worlds import World, sql

HERE = "shard_3"  # of the school that all attacks are about
DATABASES = ("master", HERE)  # a world that is large enough for it, and quickly made
FEW = (SCHOOL, 61)  # so few of their shard that rows are deleted, and no table is emptied and filled


class Died(BaseException):
    """The process is gone: nothing that only a living one does comes after it."""


def dies(*words: object, **named: object) -> None:
    """Raise Died, in place of the process's end."""
    raise Died


@contextmanager
def until_it_dies() -> Iterator[None]:
    """Run what must not live to its end, and expect Died."""
    try:
        yield
    except Died:
        return
    raise RuntimeError("it lived to its end")


def before(patch: pytest.MonkeyPatch, where: ModuleType, name: str, act: Callable[[], object]) -> None:
    """Call a function just before another one is called for the first time."""
    original, acts = getattr(where, name), [act]

    def wrapped(*words: Any, **named: Any) -> Any:
        if acts:
            acts.pop()()
        return original(*words, **named)

    patch.setattr(where, name, wrapped)


def given(holds: object, what: str) -> None:
    """Stop a test whose attack did not come about: that does not show the fault."""
    if not holds:
        raise RuntimeError(f"expected before the attack: {what}")


def run(world: World, database: str, statements: str) -> None:
    """Run statements as a colleague does at psql."""
    with sql(world, database) as cursor:
        cursor.execute(statements)


def rows(world: World, database: str, query: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query, as psql shows them."""
    with sql(world, database) as cursor:
        cursor.execute(query)
        return cursor.fetchall()


def count(world: World, database: str, what: str) -> int:
    """Return the number of rows, such as `students WHERE grade = 0`."""
    return int(rows(world, database, f"SELECT count(*) FROM {what}")[0][0])


def classrooms(world: World, school: int = SCHOOL) -> str:
    """The ids of a school's classrooms, for an IN."""
    return ", ".join(
        str(row[0]) for row in rows(world, "master", f"SELECT id FROM classrooms WHERE school_id = {school}")
    )


def quietly(act: Callable[[], object]) -> CutoverError | None:
    """Return the error with which an act of the tool ends; None if it succeeds."""
    try:
        act()
    except CutoverError as error:
        return error
    return None


def together(world: World, *schools: int) -> dict[Key, str]:
    """Archive schools in sets, and return what is reported of those that were not deleted."""
    told: dict[Key, str] = {}
    with suppress(CutoverError):
        world.archive_together(
            *schools, on_result=lambda one: told.update({one.item: str(one.error)}) if one.error else None
        )
    return told
