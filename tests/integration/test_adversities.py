"""Adversities, each once: a refusal in time, a migration, a trigger, a moved school."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from archiver.postgres.session import DatabaseError
from archiver.records import archive_record
from archiver.records.state import State
from errors import CutoverError, Problems, RefusedError, UsageError
from inventory.catalog import DEFAULT_DEPTH
from inventory.load import FOLDER
from tests import oracle
from tests.killed import before_master_commits
from tests.worlds import YEAR, World, overlook_everything, same, school_ids, sql


def cut_off(world: World, monkeypatch: pytest.MonkeyPatch, school: int, depth: str = DEFAULT_DEPTH) -> None:
    """Archive a school, killed after the shard was emptied."""
    with before_master_commits(monkeypatch), pytest.raises(CutoverError, match="killed"):
        world.archive(school, depth=depth)


def state(world: World, school: int) -> State:
    with world.archiver() as archiver:
        [record] = archive_record.of_tenant(archiver.databases.master, school)
        return record.state


def test_a_deletion_that_master_refuses_leaves_the_shard_complete(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("ALTER TABLE contests ADD best_school integer REFERENCES schools")
        cursor.execute("INSERT INTO contests (name, best_school) VALUES ('best', 13)")
    before = oracle.snapshot(world.dsns)
    # As if the foreign key had come after the proof of completeness.
    overlook_everything(monkeypatch)

    with pytest.raises(DatabaseError, match="contests_best_school_fkey"):
        world.archive(13)

    same(before, oracle.snapshot(world.dsns))
    assert state(world, 13) is State.VERIFIED


def test_a_refusal_of_master_after_the_shard_was_emptied_puts_the_shard_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = oracle.snapshot(world.dsns)
    cut_off(world, monkeypatch, 13)
    with sql(world, "master") as cursor:
        cursor.execute("CREATE TABLE late (school_id integer REFERENCES schools)")
        cursor.execute("INSERT INTO late VALUES (13)")
    overlook_everything(monkeypatch)

    with pytest.raises(RefusedError, match="its rows were put back from the archive"):
        world.archive(13)

    with sql(world, "master") as cursor:
        cursor.execute("DROP TABLE late")
    same(before, oracle.snapshot(world.dsns))


@pytest.mark.parametrize("act", ["CASCADE", "SET NULL"])
def test_a_foreign_key_that_would_take_another_schools_row_along_stops_the_deletion(world: World, act: str) -> None:
    with sql(world, "master") as cursor:
        cursor.execute(
            f"ALTER TABLE donations ADD FOREIGN KEY (student_id) REFERENCES students ON DELETE {act} NOT VALID"
        )
        cursor.execute(
            "INSERT INTO donations (school_id, student_id, created_at) SELECT 14, student_id, now()"
            "  FROM classroom_students JOIN classrooms c ON c.id = classroom_id JOIN students s ON s.id = student_id"
            " WHERE school_id = 13"
        )
    before = oracle.snapshot(world.dsns)

    counted = {"CASCADE": r"\d+ deleted", "SET NULL": r"\d+ updated, \d+ deleted"}[act]
    with pytest.raises(RefusedError, match=rf"donations \({counted}; expected: \d+ deleted\)"):
        world.archive(13)

    same(before, oracle.snapshot(world.dsns))


def test_a_deferred_foreign_key_stops_a_restore_before_the_shard_commits(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute(
            "ALTER TABLE parents_students ADD FOREIGN KEY (parent_id) REFERENCES parents"
            " DEFERRABLE INITIALLY DEFERRED NOT VALID;"
            "INSERT INTO parents (id, created_at, updated_at) VALUES (999999, now(), now());"
            "INSERT INTO parents_students SELECT 999999, student_id FROM classroom_students JOIN classrooms c"
            "  ON c.id = classroom_id JOIN students s ON s.id = student_id WHERE school_id = 13 LIMIT 1"
        )
    world.archive(13)
    with sql(world, "master") as cursor:
        cursor.execute("DELETE FROM parents WHERE id = 999999")
    before = oracle.snapshot(world.dsns)

    with pytest.raises(RefusedError, match=r"parents_students\.parent_id"):
        world.restore(13)

    same(before, oracle.snapshot(world.dsns))
    assert state(world, 13) is State.ARCHIVED


def test_markers_of_a_master_that_was_rolled_back_are_not_taken_for_this_ones(world: World) -> None:
    before = oracle.snapshot(world.dsns)
    with world.archiver() as archiver:
        world.archive(13)
        [record] = archive_record.of_tenant(archiver.databases.master, 13)
    world.restore(13)
    with sql(world, "master") as cursor:
        cursor.execute(f"ALTER TABLE archiver.archives ALTER COLUMN id RESTART WITH {record.id}")

    world.archive(13)
    assert oracle.snapshot(world.dsns).count("shard_3", "enrollments") < before.count("shard_3", "enrollments")
    world.restore(13)

    same(before, oracle.snapshot(world.dsns))


def test_a_restore_that_was_killed_before_any_commit_and_cannot_begin_again_is_archived_again(world: World) -> None:
    world.archive(13)
    with world.archiver() as archiver:
        [record] = archive_record.of_tenant(archiver.databases.master, 13)
        archive_record.restoring(archiver.databases.master, record)
        archiver.bucket.delete(archiver.bucket.key(record.location))

    with pytest.raises(CutoverError, match=r"failed: there is no such object \(NoSuchKey\)"):
        world.restore(13)

    assert state(world, 13) is State.ARCHIVED


def test_a_school_that_moved_while_it_was_half_deleted_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = oracle.expected_after_archive(world.dsns, 13, "all")
    cut_off(world, monkeypatch, 13)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET shard = 'shard_1' WHERE id = 13")

    with pytest.raises(RefusedError, match=r"deleting for 2013 on shard_3, .* its shard is shard_1 now"):
        world.archive(13)

    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET shard = 'shard_3' WHERE id = 13")
    world.archive(13)
    same(expected, oracle.snapshot(world.dsns))


def test_a_half_deleted_school_is_not_archived_for_another_year(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(world, monkeypatch, 13)

    with pytest.raises(RefusedError, match="School 13 is deleting for 2013, by a run that was cut off"):
        world.archive(13, year=YEAR + 1)


def test_a_column_that_came_after_the_extraction_stops_the_deletion(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def busy(*args: object) -> object:
        with sql(world, "master") as cursor:
            cursor.execute("ALTER TABLE students ADD note text")
            cursor.execute("UPDATE students SET note = 'in no archive'")
        return deleting(*args)  # type: ignore[arg-type]

    deleting = archive_record.deleting
    with monkeypatch.context() as patched:
        patched.setattr(archive_record, "deleting", busy)
        with pytest.raises(RefusedError, match=r"a table's definition on .* has changed since its rows were archived"):
            world.archive(13)

    assert 13 in school_ids(world)
    world.archive(13)
    world.restore(13)
    with sql(world, "master") as cursor:
        cursor.execute("SELECT count(*) FROM students WHERE note IS NULL")
        assert cursor.fetchall() == [(0,)]


@pytest.mark.parametrize("overlooked", [False, True])
def test_a_trigger_that_swallows_rows_stops_a_restore(
    world: World, monkeypatch: pytest.MonkeyPatch, overlooked: bool
) -> None:
    named, counted = r"student_settings: the trigger swallow would fire", r"student_settings refused: 0 of \d+ rows"
    world.archive(13)
    before = oracle.snapshot(world.dsns)
    if overlooked:
        overlook_everything(monkeypatch)
    with sql(world, "master") as cursor:
        cursor.execute(
            "CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;"
            "CREATE TRIGGER swallow BEFORE INSERT ON student_settings FOR EACH ROW EXECUTE FUNCTION swallow()"
        )

    with pytest.raises(RefusedError, match=counted if overlooked else named):
        world.restore(13)

    same(before, oracle.snapshot(world.dsns))
    assert state(world, 13) is State.ARCHIVED


def test_what_master_does_not_record_is_deleted_nowhere(world: World) -> None:
    before = oracle.snapshot(world.dsns)
    with world.archiver():
        pass  # makes the log
    with sql(world, "master") as cursor:
        cursor.execute("ALTER TABLE archiver.log ADD CHECK (act <> 'archive') NOT VALID")

    with pytest.raises(DatabaseError, match=r"check constraint|check violation"):
        world.archive(13)

    same(before, oracle.snapshot(world.dsns))
    assert state(world, 13) is State.VERIFIED
    with sql(world, "master") as cursor:
        cursor.execute("SELECT shard FROM schools WHERE id = 13")
        [(shard,)] = cursor.fetchall()
    with sql(world, shard) as cursor:
        cursor.execute("SELECT count(*) FROM archiver.markers")
        assert cursor.fetchall() == [(0,)]


def test_a_triggers_own_message_is_not_passed_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with sql(world, "master") as cursor:
        cursor.execute(
            "CREATE FUNCTION block() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'user % is blocked', OLD.email; END $$;"
            "CREATE TRIGGER block BEFORE DELETE ON users FOR EACH ROW EXECUTE FUNCTION block()"
        )
    overlook_everything(monkeypatch)

    with pytest.raises(DatabaseError, match=r"raise exception \(P0001\)") as caught:
        world.archive(13)

    assert "@" not in str(caught.value).replace("@127.0.0.1", "")


def test_a_shard_that_the_inventory_lacks_is_an_error_in_one_sentence(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET shard = 'shard_9' WHERE id = 13")

    with pytest.raises(UsageError, match=r"Shard 'shard_9' is not in the inventory \(there: shard_1,"):
        world.archive(13)


def test_rows_that_a_half_deleted_school_needs_stay_until_it_is_finished(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Schools 5 and 13 share a student, found for school 5 by the enrollments of its shard alone."""
    before, goal = oracle.snapshot(world.dsns), oracle.expected_after_archiving(world.dsns, [5, 13], "all")
    cut_off(world, monkeypatch, 5)

    world.archive(13)
    world.archive(5)

    same(goal, oracle.snapshot(world.dsns))
    world.restore(13, 5)
    same(before, oracle.snapshot(world.dsns))


LOUD = """
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'loud'; END $$;
CREATE TRIGGER loud BEFORE INSERT OR DELETE ON schools FOR EACH ROW EXECUTE FUNCTION loud();
ALTER TABLE schools ENABLE ALWAYS TRIGGER loud;
"""


def test_a_trigger_that_the_catalog_disables_does_not_fire_and_stays_as_it_was(world: World, tmp_path: Path) -> None:
    with sql(world, "master") as cursor:
        cursor.execute(LOUD)
    written = (FOLDER / "catalog.yaml").read_text(encoding="utf-8")
    catalog = tmp_path / "catalog.yaml"
    catalog.write_text(
        written.replace("schools: {group: school}", "schools: {group: school, quiet: {loud: it would tell the world}}"),
        encoding="utf-8",
    )
    disabled = replace(world, environment=replace(world.environment, catalog=str(catalog)))
    before = oracle.snapshot(world.dsns)

    with pytest.raises(Problems, match=r"quiet: \{loud: <why it must not>\}"):
        world.archive(13)
    disabled.archive(13)
    disabled.restore(13)
    disabled.archive_together(13, 17)
    disabled.restore(13, 17)

    same(before, oracle.snapshot(world.dsns))
    with sql(world, "master") as cursor:
        cursor.execute("SELECT tgenabled FROM pg_trigger WHERE tgname = 'loud'")
        assert cursor.fetchall() == [("A",)]
