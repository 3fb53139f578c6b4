"""Rules (`CREATE RULE`) on carried tables: named before anything is deleted, and no rule deletes a row."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from archiver.completeness import completeness
from rehearsal.seed_plan import SCHOOL
from tests.cases.attack_world import DATABASES, FEW, count, given, quietly, rows, run, together
from tests.worlds import NewWorld, World

RULES = {
    "takes rows that stay live": "DELETE FROM parents WHERE id = OLD.parent_id",
    "changes rows that stay live": "UPDATE parents SET email = 'gone' WHERE id = OLD.parent_id",
}
WAYS: dict[str, Callable[[World], object]] = {
    "one by one": lambda world: quietly(lambda: world.archive(SCHOOL)),
    "in a set": lambda world: together(world, *FEW),
}


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("way", WAYS)
def test_no_row_that_stays_live_goes_or_changes_by_a_rule(new_world: NewWorld, way: str, rule: str) -> None:
    with new_world(DATABASES) as world:
        run(world, "master", f"CREATE RULE tidy AS ON DELETE TO parents_students DO ALSO {RULES[rule]}")
        parents = rows(world, "master", "SELECT p::text FROM parents p ORDER BY id")
        given(count(world, "master", "parents_students") and parents, "parents of students")
        WAYS[way](world)
        assert rows(world, "master", "SELECT p::text FROM parents p ORDER BY id") == parents


@pytest.mark.parametrize("event", ["DELETE", "INSERT", "UPDATE"])
def test_a_rule_on_a_carried_table_is_named(new_world: NewWorld, event: str) -> None:
    with new_world(DATABASES) as world:
        run(world, "master", f"CREATE RULE surprise AS ON {event} TO students DO ALSO NOTIFY surprise")
        with world.archiver() as archiver:
            found = completeness.compare(archiver.databases).problems
        assert any("students" in problem and "surprise" in problem for problem in found), found
