"""An archive from before a year of migrations is restored as the live rows are after them, or refused by name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from archiver.checks.stored_schemas import Checked, check_stored
from archiver.runs.restore import Restored
from archiver.runs.restore_plan import RestorePlan
from errors import Problems, RefusedError, UsageError
from inventory.load import FOLDER
from inventory.migrations import Changes, TableChanges
from runbooks.archives.restore_plan import plan_lines
from runbooks.cli.text.archives import checked_lines, restore_words
from tests import drift, oracle
from tests.drift import DRIFTS
from tests.months import archive_months
from tests.worlds import NewWorld, World, same, sql

DATABASES = ("master", "shard_3")  # those in which school 13 lives
REFUSED = [name for name, change in DRIFTS.items() if change.refusal]


@dataclass(frozen=True, kw_only=True)
class Story:
    """The story of school 13, archived before the migrations, and of its twin that stayed live through them."""

    refusal: str  # of a restore, before the team wrote what cannot be guessed
    touched: bool  # by that restore
    checked_before: list[Checked]
    checked: list[Checked]
    plan: RestorePlan
    pretended: Restored
    restored: Restored
    log: dict[str, Any]  # its entry
    twin: oracle.Snapshot
    found: oracle.Snapshot


@pytest.fixture(scope="module")
def story(new_world: NewWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """Two worlds, one of them archived, go through the same migrations; then the archive comes back."""
    with new_world(DATABASES) as world, new_world(DATABASES) as twin:
        folder = tmp_path_factory.mktemp("inventory")
        world.archive(13)
        before = fingerprints(world)
        run(drift.FIRST, world, twin)
        between = fingerprints(world)["master"]
        run(drift.SECOND, world, twin)
        today = later(world, folder)
        untouched = oracle.snapshot(world.dsns)
        with pytest.raises(Problems) as caught:
            today.restore(13)
        touched = oracle.snapshot(world.dsns) != untouched
        checked_before = checked(today)
        write_migrations(folder, before=before["master"], between=between, shard=before["shard_3"])
        yield Story(
            refusal=str(caught.value),
            touched=touched,
            checked_before=checked_before,
            checked=checked(today),
            plan=today.plan(13),
            pretended=today.restore(13, pretend=True)[0],
            restored=today.restore(13)[0],
            log=last_log_entry(world),
            twin=oracle.snapshot(twin.dsns),
            found=oracle.snapshot(world.dsns),
        )


def fingerprints(world: World) -> dict[str, str]:
    with world.archiver() as archiver:
        return {name: archiver.databases.schema(name).fingerprint[:16] for name in DATABASES}


def run(drifts: dict[str, drift.Drift], *worlds: World) -> None:
    for world in worlds:
        for change in drifts.values():
            with sql(world, change.database) as cursor:
                cursor.execute(change.sql)


def later(world: World, folder: Path) -> World:
    """The same world with an inventory of today: a catalog in today's names, and a folder for migrations."""
    text = (FOLDER / "catalog.yaml").read_text()
    for old, new in drift.RENAMED_IN_CATALOG.items():
        assert old in text
        text = text.replace(old, new)
    (folder / "catalog.yaml").write_text(text)
    environment = replace(
        world.environment, catalog=str(folder / "catalog.yaml"), migrations=str(folder / "migrations")
    )
    return replace(world, environment=environment)


def write_migrations(folder: Path, **fingerprint: str) -> None:
    (folder / "migrations").mkdir()
    for name, text in drift.MIGRATIONS.items():
        (folder / "migrations" / name).write_text(text.format(**fingerprint))


def last_log_entry(world: World) -> dict[str, Any]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT details FROM archiver.log ORDER BY id DESC LIMIT 1")
        return dict(cursor.fetchall()[0][0])


def checked(world: World) -> list[Checked]:
    with world.archiver() as archiver:
        archiver.work.mkdir(exist_ok=True)
        return check_stored(archiver.databases, archiver.schemas, archiver.work)


def test_past_months_that_do_not_fit_todays_schema_are_found_without_a_fetch(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        archive_months(world, date(2014, 9, 5))
        assert next(checked_lines(checked(world))).endswith(", 1 archive into shard_3: OK")

        with sql(world, "shard_3") as cursor:
            cursor.execute("ALTER TABLE hint_views RENAME hint_id TO hint")

        [one] = checked(world)
    assert any("hint_views" in problem for problem in one.problems)


@pytest.mark.parametrize("kind", DRIFTS)
def test_the_rows_come_back_as_if_they_had_stayed_live(story: Story, kind: str) -> None:
    change = DRIFTS[kind]

    expected = story.twin.tables[change.database].get(change.table)
    assert story.found.tables[change.database].get(change.table) == expected


def test_nothing_else_differs_from_the_world_that_stayed_live(story: Story) -> None:
    same(story.twin, story.found)


@pytest.mark.parametrize("kind", REFUSED)
def test_a_change_that_cannot_be_guessed_is_refused_with_its_name_and_the_line_to_add(story: Story, kind: str) -> None:
    told = [line for line in story.refusal.splitlines() if DRIFTS[kind].refusal in line]

    in_rows = ("does not fit", "has no label")  # they are looked at once the schemas fit
    assert told or any(words in DRIFTS[kind].refusal for words in in_rows)
    assert not story.touched


def test_stored_schemas_show_a_teams_ci_what_breaks_before_the_migration_is_written_and_not_after(story: Story) -> None:
    before, after = ("\n".join(checked_lines(found)) for found in (story.checked_before, story.checked))

    assert before.count("1 archive into") == 2
    assert "into master: DOES NOT FIT" in before
    assert "into shard_3: DEPENDS ON ITS ROWS" in before
    for kind in REFUSED:
        assert DRIFTS[kind].refusal in before
    assert after.count("OK") == len(after.splitlines()) == 2


def test_the_plan_shows_the_mapping_and_what_is_lost(story: Story) -> None:
    lines = list(plan_lines("school", story.plan))

    assert "  master.school_files <- school_file_imports" in lines
    assert "  master.users.surname <- last_name" in lines
    assert "  master.classroom_teachings.duty <- filled by a migration" in lines
    assert "  shard.hint_views.hint_id <- hint_id (integer to bigint)" in lines
    assert "  master.user_opted_in_rollup_reports: its rows are lost (nobody reads them)" in lines
    assert "  master.student_sessions.lessons_seen is lost (today's table has no such column)" in lines
    assert lines[-1] == "It can be restored."
    assert any(line.startswith("lost: ") and "student_sessions.lessons_seen in " in line for line in lines)


def test_an_archive_is_verified_in_its_own_schema(story: Story) -> None:
    assert sum(table.inserted for table in story.pretended.result().values()) == story.restored.item.rows
    assert "master.school_file_imports" in story.pretended.result()


def test_the_plan_predicts_each_tables_rows(story: Story) -> None:
    assert story.plan.comparison.tables == story.restored.result()


def test_the_log_holds_what_was_lost(story: Story) -> None:
    lost = {f"{name}.{column}" for name, table in story.plan.comparison.tables.items() for column in table.lost}

    assert story.log["lost"].keys() == lost >= {"master.student_sessions.lessons_seen"}
    assert story.log["lost"]["master.user_opted_in_rollup_reports.*"] > 0


def test_the_line_of_a_restore_states_what_was_lost(story: Story) -> None:
    line = restore_words("school", pretend=False).line(story.restored)

    assert "; LOST, today's tables have no column for it: " in line
    assert "student_sessions.lessons_seen in " in line
    assert "user_opted_in_rollup_reports with all " in line


def test_rows_that_do_not_fit_are_refused_by_table_column_and_count(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        with sql(world, "master") as cursor:
            cursor.execute("UPDATE donations SET amount = 12")
            cursor.execute("UPDATE donations SET amount = 12.5 WHERE school_id = 13")
            halves = cursor.rowcount
            cursor.execute("UPDATE classrooms SET notes = NULL WHERE school_id = 13")
            nulls = cursor.rowcount
        world.archive(13)
        before = oracle.snapshot(world.dsns)
        with sql(world, "master") as cursor:
            cursor.execute("ALTER TABLE donations ALTER amount TYPE integer")
            cursor.execute("UPDATE classrooms SET notes = '' WHERE notes IS NULL")
            cursor.execute("ALTER TABLE classrooms ALTER notes SET NOT NULL")
            # These the rows bear.
            cursor.execute("ALTER TABLE school_assignments ALTER user_id TYPE smallint")
        migrated = oracle.snapshot(world.dsns)

        with pytest.raises(Problems) as caught:
            world.restore(13)

        assert [problem.split(": ")[0] for problem in caught.value.problems] == [
            f"master.classrooms.notes, {nulls} rows",
            f"master.donations.amount, {halves} rows",
        ]
        same(migrated, oracle.snapshot(world.dsns))
        assert migrated != before
        assert [problem.split(": ")[0] for problem in world.plan(13).problems] == [
            f"master.classrooms.notes, {nulls} rows",
            f"master.donations.amount, {halves} rows",
        ]

        mistaken = Changes(
            database="master",
            tables={"donations": TableChanges(convert={"amount": "nonsense("}), "classrooms": TableChanges()},
        )
        with pytest.raises(UsageError, match=r"Applying the migrations to master\.donations failed\. .*syntax error"):
            world.restore(13, mapping=mistaken)
        emptied = TableChanges(fill={"notes": "NULL"})
        with pytest.raises(Problems, match=rf"classrooms\.notes, {nulls} rows: the migration gives NULL"):
            world.restore(13, mapping=replace(mistaken, tables={"classrooms": emptied}))
        same(migrated, oracle.snapshot(world.dsns))


def test_taken_keys_and_vanished_rows_are_named_by_ids_and_a_mapping_for_one_archive_resolves_them(
    new_world: NewWorld,
) -> None:
    with new_world(DATABASES) as world:
        live = users(world)
        with sql(world, "master") as cursor:
            cursor.execute("SELECT district_id FROM schools WHERE id = 13")
            [[district]] = cursor.fetchall()
        world.archive(13)
        [(teacher, email), *_] = sorted(set(live.items()) - set(users(world).items()))
        with sql(world, "master") as cursor:
            cursor.execute(
                "INSERT INTO users (email, created_at, updated_at) VALUES (%s, now(), now()) RETURNING id", (email,)
            )
            [[again]] = cursor.fetchall()
            cursor.execute("UPDATE schools SET district_id = NULL WHERE district_id = %s", (district,))
            cursor.execute("DELETE FROM district_administrators WHERE district_id = %s", (district,))
            cursor.execute("DELETE FROM districts WHERE id = %s", (district,))
            cursor.execute("DELETE FROM parents")
        before = oracle.snapshot(world.dsns)
        taken = f"master.users: the unique index users_email_key is taken: archived {teacher} by live {again}"
        gone = f"master.schools.district_id: no districts {district}"

        with pytest.raises(RefusedError) as caught:
            world.restore(13)
        plan = world.plan(13)

        assert f"Restoring school 13 refused: {taken}; {gone}." == str(caught.value)
        assert email not in str(caught.value)
        assert "inv restore.plan 13" in caught.value.hint
        lines = list(plan_lines("school", plan))
        assert {f"taken: {taken}", f"missing: {gone}"} <= set(lines)
        assert any(line.startswith("missing: master.parents_students.parent_id: no parents ") for line in lines)
        assert lines[-1] == "It would be REFUSED."
        same(before, oracle.snapshot(world.dsns))

        answer = Changes(
            database="master",
            tables={
                "users": TableChanges(
                    convert={"email": f"CASE id WHEN '{teacher}' THEN 'old-' || email ELSE email END"}
                ),
                "schools": TableChanges(convert={"district_id": "NULL"}),
            },
        )
        assert not world.plan(13, answer).refused
        world.restore(13, mapping=answer)
        with sql(world, "master") as cursor:
            cursor.execute("SELECT email FROM users WHERE id = %s", (teacher,))
            assert cursor.fetchall() == [(f"old-{email}",)]
            cursor.execute("SELECT district_id FROM schools WHERE id = 13")
            assert cursor.fetchall() == [(None,)]


def users(world: World) -> dict[int, str]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id, email FROM users WHERE email IS NOT NULL")
        return dict(cursor.fetchall())
