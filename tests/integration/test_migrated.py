"""A migration that changes rows without writing one: content decides, not row versions."""

from __future__ import annotations

import contextlib

import pytest

from archiver.delete import many, row_locks
from errors import CutoverError, RefusedError
from inventory.keys import Key
from tests.cases.attack_world import before
from tests.worlds import World, sql

SCHOOL = 13
CHANGED = {
    "a default that lies in the catalogue": "DROP COLUMN note, ADD COLUMN note text DEFAULT 'written since'",
    "no value any more": "DROP COLUMN note, ADD COLUMN note text",
}


@pytest.mark.parametrize("database", ["master", "shard_3"])
@pytest.mark.parametrize("change", CHANGED.values(), ids=CHANGED)
def test_a_school_whose_column_was_replaced_after_its_proof_stays_live(
    world: World, monkeypatch: pytest.MonkeyPatch, database: str, change: str
) -> None:
    table = {"master": "students", "shard_3": "attempts"}[database]

    def alter(actions: str) -> None:
        with sql(world, database) as cursor:
            cursor.execute(f"ALTER TABLE {table} {actions}")

    alter("ADD COLUMN note text DEFAULT 'as archived'")
    before(monkeypatch, row_locks, "recheck", lambda: alter(change))

    with pytest.raises(RefusedError, match=f"rows changed since they were archived: .*{table}"):
        world.archive(SCHOOL)


def test_a_migration_that_changes_no_row_of_the_school_only_costs_a_comparison(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def alter() -> None:
        with sql(world, "master") as cursor:
            cursor.execute("ALTER TABLE contests ADD COLUMN prize text DEFAULT 'a book'")

    before(monkeypatch, row_locks, "recheck", alter)
    world.archive(SCHOOL)


def test_a_run_that_died_before_a_migration_deletes_nothing_that_the_migration_changed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("ALTER TABLE students ADD COLUMN note text DEFAULT 'as archived'")

    def dies(*_: object, **named: object) -> None:
        raise CutoverError("the run ends before it deletes")

    with monkeypatch.context() as patch, contextlib.suppress(CutoverError):
        patch.setattr(many, "empty_shard", dies)
        patch.setattr("archiver.runs.archive.delete_tenant", dies)
        world.archive_together(5, SCHOOL)
    with sql(world, "master") as cursor:
        cursor.execute("ALTER TABLE students DROP COLUMN note, ADD COLUMN note text DEFAULT 'written since'")
    deleted: list[Key] = []
    world.archive_together(5, SCHOOL, on_result=lambda done: None if done.error else deleted.append(done.item))
    world.restore(*deleted)
    with sql(world, "master") as cursor:
        cursor.execute("SELECT DISTINCT note FROM students")
        assert cursor.fetchall() == [("written since",)]
