"""Rows that two archives hold: which archive deletes them, which copy is live after a restore, and its report."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from archiver.delete import decide, shared_rows
from inventory.catalog import DEFAULT_DEPTH
from tests import oracle
from tests.worlds import World, same, sql


@dataclass(frozen=True)
class Shared:
    """A teacher at two schools and nowhere else; the second archive deletes her."""

    world: World
    user: int
    first: int
    second: int

    def rename(self, name: str) -> None:
        """The application writes."""
        with sql(self.world, "master") as cursor:
            cursor.execute("UPDATE users SET last_name = %s WHERE id = %s", (name, self.user))

    @property
    def name(self) -> str:
        """Her live name."""
        with sql(self.world, "master") as cursor:
            cursor.execute("SELECT last_name FROM users WHERE id = %s", (self.user,))
            return str(cursor.fetchall()[0][0])

    def archived(self) -> None:
        """Both schools go; between the two she changes her name."""
        self.world.archive(self.first)
        self.rename("Newer")
        self.world.archive(self.second)
        with sql(self.world, "master") as cursor:
            cursor.execute("SELECT count(*) FROM users WHERE id = %s", (self.user,))
            assert cursor.fetchall() == [(0,)], "the last archive that needs her deletes her"


@pytest.fixture
def shared(world: World) -> Shared:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM schools ORDER BY id LIMIT 2")
        first, second = (row[0] for row in cursor.fetchall())
        cursor.execute(
            "INSERT INTO users (email, last_name, created_at, updated_at) VALUES ('x@y', 'Older', now(), now())"
            " RETURNING id"
        )
        [[user]] = cursor.fetchall()
        for school in (first, second):
            cursor.execute("INSERT INTO school_assignments (school_id, user_id) VALUES (%s, %s)", (school, user))
    return Shared(world, user, first, second)


def test_the_newer_copy_replaces_a_live_row_that_came_out_of_an_older_archive(shared: Shared) -> None:
    shared.archived()

    shared.world.restore(shared.first)
    assert shared.name == "Older"
    [restored] = shared.world.restore(shared.second)

    assert shared.name == "Newer"
    assert (restored.result()["master.users"].replaced, restored.result()["master.users"].differing) == (1, 0)


def test_a_newer_copy_is_recognized_after_a_migration_too(shared: Shared) -> None:
    shared.archived()
    with sql(shared.world, "master") as cursor:
        cursor.execute("ALTER TABLE users DROP COLUMN authentication_token, ALTER COLUMN first_name TYPE text")

    shared.world.restore(shared.first)
    shared.world.restore(shared.second)

    assert shared.name == "Newer"


def test_an_older_copy_does_not_replace_rows_of_a_newer_archive(shared: Shared) -> None:
    shared.archived()

    shared.world.restore(shared.second)
    [restored] = shared.world.restore(shared.first)

    assert shared.name == "Newer"
    assert (restored.result()["master.users"].replaced, restored.result()["master.users"].differing) == (0, 1)


def test_rows_that_the_application_wrote_since_stay_and_are_reported(shared: Shared) -> None:
    shared.archived()

    shared.world.restore(shared.first)
    shared.rename("Newest")
    [restored] = shared.world.restore(shared.second)

    assert shared.name == "Newest"
    assert (restored.result()["master.users"].replaced, restored.result()["master.users"].differing) == (0, 1)


def test_rows_that_changed_while_one_school_was_archived_stay_and_are_reported(shared: Shared) -> None:
    shared.world.archive(shared.first)
    shared.rename("Newer")

    [restored] = shared.world.restore(shared.first)

    assert shared.name == "Newer"
    assert restored.result()["master.users"].differing == 1


@pytest.mark.parametrize("order", [(2013, 2014), (2014, 2013)])
def test_a_school_archived_in_two_years_comes_back_in_either_order(world: World, order: tuple[int, int]) -> None:
    before = oracle.snapshot(world.dsns)
    world.archive(13, depth="students", year=2013)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET name = name || ' of 2014' WHERE id = 13 RETURNING name")
        [[name]] = cursor.fetchall()
    world.archive(13, depth=DEFAULT_DEPTH, year=2014)

    for year in order:
        world.restore(13, year=year)

    with sql(world, "master") as cursor:
        cursor.execute("SELECT name FROM schools WHERE id = 13")
        assert cursor.fetchall() == [(name,)]
        cursor.execute("UPDATE schools SET name = %s WHERE id = 13", (name.removesuffix(" of 2014"),))
    same(before, oracle.snapshot(world.dsns))


def test_a_row_equal_to_an_older_archives_copy_is_the_applications_own(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT name FROM schools WHERE id = 13")
        [[older]] = cursor.fetchall()
    world.archive(13, depth="students", year=2012)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET name = 'for a while' WHERE id = 13")
    world.archive(13, depth="students", year=2013)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET name = %s WHERE id = 13", (older,))

    [restored] = world.restore(13, year=2013)

    assert (restored.result()["master.schools"].replaced, restored.result()["master.schools"].differing) == (0, 1)
    with sql(world, "master") as cursor:
        cursor.execute("SELECT name FROM schools WHERE id = 13")
        assert cursor.fetchall() == [(older,)]


LATE = {
    "one of its own": (
        "INSERT INTO taggings (taggable_type, taggable_id, tag_id) VALUES ('School', 13, 1)",
        {"master.taggings": 1},
    ),
    "one of another school that names a teacher who went": (
        "INSERT INTO school_administrations (school_id, user_id, created_at)"
        " SELECT (SELECT min(id) FROM schools WHERE id <> 13), min(a.user_id), now()"
        " FROM school_administrations a WHERE a.school_id = 13 AND NOT EXISTS"
        " (SELECT FROM school_administrations o WHERE o.user_id = a.user_id AND o.school_id <> 13)",
        {"master.school_administrations": 1},
    ),
}


@pytest.mark.parametrize("late", LATE)
def test_a_row_that_appears_after_verification_stays_live_and_is_reported(
    world: World, monkeypatch: pytest.MonkeyPatch, late: str
) -> None:
    statement, expected = LATE[late]

    def busy(*args: object) -> object:
        # No foreign key leads from these rows to what they name, so no lock keeps them out.
        gone = deletable(*args)  # type: ignore[arg-type]
        with sql(world, "master") as cursor:
            cursor.execute(statement)
        return gone

    deletable = shared_rows.deletable
    monkeypatch.setattr(decide, "deletable", busy)

    [outcome] = world.archive(13)

    assert outcome.detail is not None
    assert outcome.detail.appeared == expected
