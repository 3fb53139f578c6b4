"""Fills empty databases with a miniature of Apangea: equal rows for equal seeds, with everything that goes wrong."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from rehearsal.load import fill, run
from rehearsal.seed_cases import add_cases
from rehearsal.seed_plan import plans
from rehearsal.seed_rest import add_feed, add_left_behind, add_legacy_users, add_reference
from rehearsal.seed_schools import add_classroom, add_school
from rehearsal.seed_values import Row
from rehearsal.seed_world import MASTER, World

_SCHEMA = Path(__file__).parent / "schema"


def seed(master: str, shards: Mapping[str, str], *, schools: int = 36, seed: int = 2014) -> None:
    """Create the schema in empty databases (libpq DSNs; shard name: DSN) and fill it."""
    create_schema(master, shards)
    rows = production(tuple(shards), schools=schools, seed=seed)
    for name, dsn in {MASTER: master, **shards}.items():
        fill(dsn, {table: rows[name].get(table, ()) for table in tables(_ddl(name))})


def create_schema(master: str, shards: Mapping[str, str]) -> None:
    """Create the empty tables in databases that have none."""
    for name, dsn in {MASTER: master, **shards}.items():
        run(dsn, _ddl(name))


def production(
    shards: Sequence[str], *, schools: int = 36, seed: int = 2014
) -> Mapping[str, Mapping[str, Sequence[Row]]]:
    """Return every row, by database and table; pure, and equal for equal arguments."""
    world = World(shards, seed)
    add_reference(world)
    add_legacy_users(world)
    planned = plans(shards, schools, world.rng)
    for plan in planned:
        add_school(world, plan)
    # In the order of a year, not school by school: no school's ids are a range.
    classrooms = [plan for plan in planned for _ in range(plan.classrooms)]
    world.rng.shuffle(classrooms)
    for plan in classrooms:
        add_classroom(world, plan)
    add_cases(world)
    add_feed(world)
    for shard in shards:
        add_left_behind(world, shard)
    return world.rows


def tables(ddl: str) -> tuple[str, ...]:
    """Return the tables that a script creates, parents before children."""
    return tuple(re.findall(r"^CREATE TABLE (\w+)", ddl, re.MULTILINE))


def _ddl(database: str) -> str:
    return (_SCHEMA / ("master.sql" if database == MASTER else "shard.sql")).read_text(encoding="utf-8")
