"""The way back proves itself: what a restore writes is what the archive holds, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from errors import RefusedError
from rehearsal.postgres_server import Cluster
from tests import oracle
from tests.cases.products import Product, goes_and_comes_back, run, schools, standing
from tests.worlds import NewWorld, same

THINGS = "{group: thing, found_by: [school_id = schools.id]}"
SPANISH = "ñ" * 31  # 62 bytes: one more letter of one byte fits
TWINS = tuple(f"{SPANISH}{end}" for end in "ab")


def twins(*columns: str) -> Product:
    """Two tables whose names differ in their last byte only, with other rows in each."""
    return schools(
        "".join(
            f'CREATE TABLE "{name}" (id integer PRIMARY KEY, school_id integer REFERENCES schools, {column} text);'
            f"INSERT INTO \"{name}\" VALUES (1, 1, '{column}'), (2, 2, 'other');"
            for name, column in zip(TWINS, columns, strict=True)
        ),
        *(f'"{name}": {THINGS}' for name in TWINS),
    )


@pytest.mark.parametrize("columns", [("held", "held"), ("held", "other")], ids=["of one shape", "of two"])
def test_tables_whose_long_names_differ_in_the_last_byte_go_in_a_set_and_come_back(
    new_world: NewWorld, tmp_path: Path, columns: tuple[str, str]
) -> None:
    with standing(new_world, tmp_path, twins(*columns)) as world:
        goes_and_comes_back(world, 1, 2, together=True)


def test_a_plan_compares_each_of_two_tables_with_long_names_with_its_own_rows(
    new_world: NewWorld, tmp_path: Path
) -> None:
    with standing(new_world, tmp_path, twins("held", "held")) as world:
        before = oracle.snapshot(world.dsns)
        world.archive(1)
        run(world, "master", f"INSERT INTO \"{TWINS[0]}\" VALUES (1, 2, 'live')")
        plan = world.plan(1)
        found = {name: plan.comparison.tables[f"master.{name}"] for name in TWINS}
        assert [(found[name].inserted, found[name].differing) for name in TWINS] == [(0, 1), (1, 0)]
        run(world, "master", f'DELETE FROM "{TWINS[0]}" WHERE id = 1')
        world.restore(1)
        same(before, oracle.snapshot(world.dsns))


REPLAYING = {
    "of the role there": "ALTER ROLE {role} IN DATABASE {name}",
    "of the database": "ALTER DATABASE {name}",
}


@pytest.mark.parametrize("value", ["replica", "local"])
@pytest.mark.parametrize("where", REPLAYING)
def test_a_database_whose_sessions_check_no_foreign_key_is_not_opened(
    new_world: NewWorld, cluster: Cluster, where: str, value: str
) -> None:
    with new_world(("master", "shard_1")) as world:
        [[name, role]] = run(world, "shard_1", "SELECT current_database(), current_user")
        alter = REPLAYING[where].format(name=name, role=role)
        cluster.sql(f"{alter} SET session_replication_role = {value}")
        before = oracle.snapshot(world.dsns)
        with pytest.raises(RefusedError, match=f"session_replication_role is '{value}'") as refused:
            world.archive_together(1)
        same(before, oracle.snapshot(world.dsns))
        assert refused.value.hint == f"{alter} RESET session_replication_role;"
