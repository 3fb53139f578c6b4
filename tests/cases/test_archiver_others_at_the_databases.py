"""Other users of the databases: a pooler in front of them, and subscribers behind them."""

from __future__ import annotations

from pathlib import Path

from tests import oracle
from tests.cases.pooler import pooled
from tests.cases.products import archived, bring_back, refused, run, schools, set_for_all, standing
from tests.worlds import NewWorld, same

STUDENTS = """
CREATE TABLE students (id integer PRIMARY KEY, school_id integer REFERENCES schools, share double precision);
INSERT INTO students SELECT n, 1 + n % 2, n / 3::double precision FROM generate_series(1, 10) n;
"""
FOUND = "students: {group: student, found_by: [school_id = schools.id]}"
LOCKS = """
SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = database AND datname = current_database()
 WHERE locktype = 'advisory'
"""


def test_no_digit_is_lost_through_a_transaction_pooler(new_world: NewWorld, tmp_path: Path) -> None:
    with standing(new_world, tmp_path, schools(STUDENTS, FOUND)) as world:
        set_for_all(world, "extra_float_digits = 0")  # as it was until PostgreSQL 11
        before = oracle.snapshot(world.dsns)
        [[name]] = run(world, "master", "SELECT current_database()")
        with pooled(str(name)):
            went = not refused(lambda: world.archive(1))
        if went:
            bring_back(world, 1)
        same(before, oracle.snapshot(world.dsns))


def test_no_lock_stays_behind_through_a_transaction_pooler(new_world: NewWorld, tmp_path: Path) -> None:
    with standing(new_world, tmp_path, schools(STUDENTS, FOUND)) as world:
        [[name]] = run(world, "master", "SELECT current_database()")
        with pooled(str(name)):
            refused(lambda: world.archive(1))
            assert run(world, "master", LOCKS) == [(0,)]


def test_a_published_table_is_not_truncated(new_world: NewWorld, tmp_path: Path) -> None:
    """A subscriber of two publishers would lose the rows of both.

    The tests' server has no subscriber, so this looks at the table's file, of which TRUNCATE makes a new one.
    """
    with standing(new_world, tmp_path, schools(STUDENTS, FOUND)) as world:
        run(world, "master", "SET client_min_messages = error; CREATE PUBLICATION warehouse FOR TABLE students")
        file = "SELECT pg_relation_filenode('students')"
        before = run(world, "master", file)
        archived(world, 1, together=True)
        assert run(world, "master", file) == before
