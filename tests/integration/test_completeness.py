"""Any live table or column unknown to the catalog stops every deletion, by name and with the line to add."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archiver.completeness import completeness
from archiver.completeness.live import LiveTableSize, read_live
from errors import Problems
from runbooks.cli.text import archives
from tests import oracle
from tests.worlds import World, sql

UNKNOWN = {
    "a table that names schools": (
        "master",
        "CREATE TABLE school_mascots (id serial PRIMARY KEY, school_id integer)",
        "master.school_mascots.school_id can point at master.schools, and the catalog does not know the table. "
        "Carry it, or add to excluded/master: {school_mascots: <why it stays live>}",
    ),
    "a column of a carried table": (
        "master",
        "ALTER TABLE students ADD favourite_classroom_id integer, ADD classroom_id integer",
        "master.students.classroom_id can point at master.classrooms. "
        "Add to databases/master/students: found_by, or ignored: {classroom_id: <why it leads nowhere>}",
    ),
    "a foreign key under another name": (
        "shard_2",
        "CREATE TABLE notes (id serial PRIMARY KEY, about bigint REFERENCES attempts)",
        "shard.notes.about can point at shard.attempts, and the catalog does not know the table.",
    ),
    "a cascade that leaves the model": (
        "master",
        "ALTER TABLE district_administrators DROP CONSTRAINT district_administrators_user_id_fkey;"
        "ALTER TABLE district_administrators ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE",
        "master.district_administrators: the foreign key district_administrators_user_id_fkey deletes rows there "
        "when rows of users are deleted.",
    ),
    "a set null that leaves the model": (
        "master",
        "ALTER TABLE contests ADD winner integer REFERENCES students ON DELETE SET NULL",
        "master.contests: the foreign key contests_winner_fkey sets to NULL rows there when rows of students",
    ),
    "a foreign key that forbids deleting": (
        "master",
        "ALTER TABLE contests ADD best_school integer REFERENCES schools",
        "master.contests: the foreign key contests_best_school_fkey forbids deleting rows of schools "
        "that it references. Add to databases/master/schools: needed_by, or carry the table",
    ),
    "a trigger": (
        "master",
        "CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;"
        "CREATE TRIGGER touched BEFORE DELETE ON schools FOR EACH ROW EXECUTE FUNCTION touch()",
        "master.schools: the trigger touched would fire. "
        "Add to databases/master/schools: triggers: {touched: <why it does no harm>}, "
        "or quiet: {touched: <why it must not>}",
    ),
    "a rule on a shard that deletes nothing by itself": (
        "shard_2",
        "CREATE RULE logged AS ON UPDATE TO attempts DO ALSO NOTIFY logged",
        "shard.attempts: the rule logged would act. "
        "Drop it, or add to databases/shard/attempts: rules: {logged: <why it does no harm>}",
    ),
    "a rule in place of a deletion": (
        "master",
        "CREATE RULE soft AS ON DELETE TO donations DO INSTEAD UPDATE donations SET student_id = NULL",
        "master.donations: the rule soft would act.",
    ),
    "a child in another schema": (
        "shard_2",
        "CREATE SCHEMA cold; CREATE TABLE cold.hints (body text) INHERITS (hint_views)",
        "shard.hint_views: cold.hints inherits it, and its rows are read and deleted as rows of hint_views. "
        "First run: ALTER TABLE cold.hints NO INHERIT hint_views",
    ),
    "a child of a feed": (
        "master",
        "CREATE TABLE feed_items_kept () INHERITS (feed_items)",
        "master.feed_items: feed_items_kept inherits it",
    ),
    "a published table without replica identity": (
        "master",
        "SET client_min_messages = error; CREATE PUBLICATION warehouse FOR TABLE parents_students",
        "master.parents_students: the publication warehouse publishes deletions, which PostgreSQL refuses for "
        "parents_students: it has no replica identity. First run: ALTER TABLE parents_students REPLICA IDENTITY FULL",
    ),
    "a published table whose replica identity was taken away": (
        "shard_2",
        "SET client_min_messages = error; ALTER TABLE hint_views REPLICA IDENTITY NOTHING;"
        "CREATE PUBLICATION warehouse FOR TABLE hint_views WITH (publish = 'delete')",
        "shard.hint_views: the publication warehouse publishes deletions",
    ),
    "a type that the catalog does not mention": (
        "master",
        "INSERT INTO taggings (taggable_type, taggable_id) VALUES ('Student', 1)",
        "master.taggings.taggable_type = Student is master.students.",
    ),
}


@pytest.mark.parametrize("case", UNKNOWN)
def test_anything_unknown_to_the_catalog_stops_every_deletion(world: World, case: str) -> None:
    database, change, expected = UNKNOWN[case]
    with sql(world, database) as cursor:
        cursor.execute(change)
    before = oracle.snapshot(world.dsns)

    with pytest.raises(Problems) as caught:
        world.archive(13)

    assert expected in str(caught.value)
    assert oracle.snapshot(world.dsns) == before


def test_everything_unknown_is_reported_at_once(world: World) -> None:
    for database, change, _ in UNKNOWN.values():
        with sql(world, database) as cursor:
            cursor.execute(change)

    with world.archiver() as archiver:
        found = completeness.compare(archiver.databases)

    for _, _, expected in UNKNOWN.values():
        assert any(expected in problem for problem in found.problems)


def test_the_seeded_databases_are_known_and_a_missing_index_is_a_warning(world: World) -> None:
    with world.archiver() as archiver:
        found = completeness.compare(archiver.databases)

    assert found.problems == ()
    assert {(str(scan.table), scan.columns) for scan in found.scans} == {
        ("master.school_file_imports", ("school_id",)),
        ("master.classroom_goals", ("classroom_id",)),
    }


def test_a_missing_index_is_reported_with_its_cost_for_each_school(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("ALTER TABLE school_file_imports SET (autovacuum_enabled = off)")  # it would change the size
        cursor.execute(
            "INSERT INTO school_file_imports SELECT n, 13, 'f', '\\x00', now() FROM generate_series(1000, 9999) n"
        )
        cursor.execute("ANALYZE school_file_imports")
        cursor.execute("SELECT count(*), pg_table_size('school_file_imports') FROM school_file_imports")
        rows, size = cursor.fetchone() or (0, 0)

    with world.archiver() as archiver:
        found = completeness.compare(archiver.databases)

    [scan] = [scan for scan in found.scans if scan.table.table == "school_file_imports"]
    assert (scan.size.rows, scan.size.bytes) == (rows, size)
    assert archives.scan_line("school", scan) == (
        f"warning: master.school_file_imports.school_id has no index: scans {rows:,} rows "
        f"({size / 1000:.0f} kB) for each school"
    )


def test_a_partitioned_table_is_one_table(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute(PARTITIONED)
        cursor.execute("SELECT pg_table_size('reading_1') + pg_table_size('reading_2')")
        [size] = cursor.fetchone() or [0]

    with world.archiver() as archiver:
        live = read_live(archiver.databases.master)
        found = completeness.compare(archiver.databases)

    assert [name for name in live.tables if name.startswith("reading")] == ["readings"]
    assert replace(live.sizes["readings"], analyzed_at=None) == LiveTableSize(rows=4, bytes=size)
    assert live.acts.triggers[("readings", "touched")]
    assert [problem for problem in found.problems if "reading" in problem] == [
        "master.readings.(school, customer) can point at master.schools, and the catalog does not know the table. "
        "Carry it, or add to excluded/master: {readings: <why it stays live>}",
        "master.readings: the foreign key readings_school_customer_fkey deletes rows there when rows of schools are "
        "deleted. Carry the table, or make the key NO ACTION",
    ]


PARTITIONED = """
ALTER TABLE schools ADD UNIQUE (customer_id, id);
CREATE TABLE readings (
    id bigint, school integer, customer integer,
    FOREIGN KEY (school, customer) REFERENCES schools (id, customer_id) ON DELETE CASCADE
) PARTITION BY LIST (id);
CREATE TABLE reading_1 PARTITION OF readings FOR VALUES IN (1);
CREATE TABLE reading_2 PARTITION OF readings FOR VALUES IN (2);
INSERT INTO readings SELECT n % 2 + 1, 13, NULL FROM generate_series(1, 4) n;
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
CREATE TRIGGER touched BEFORE DELETE ON reading_1 FOR EACH ROW EXECUTE FUNCTION touch();
ANALYZE readings;
"""


@pytest.mark.parametrize(("publish", "named"), [("insert, truncate", set()), ("delete", {"reading_1"})])
def test_a_partition_without_replica_identity_is_named_if_deletions_are_published(
    world: World, publish: str, named: set[str]
) -> None:
    with sql(world, "master") as cursor:
        cursor.execute(PARTITIONED)
        cursor.execute("ALTER TABLE reading_2 REPLICA IDENTITY FULL; SET client_min_messages = error")
        cursor.execute(
            f"CREATE PUBLICATION warehouse FOR TABLE readings WITH (publish = '{publish}', "
            "publish_via_partition_root = true)"
        )
    with world.archiver() as archiver:
        assert {found.relation for found in read_live(archiver.databases.master).unidentified} == named


def test_a_moves_update_of_a_tenant_is_known_to_be_refused(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("SET client_min_messages = error; ALTER TABLE schools REPLICA IDENTITY NOTHING")
        cursor.execute("CREATE PUBLICATION warehouse FOR TABLE schools WITH (publish = 'update')")
    with world.archiver() as archiver:
        problems = completeness.compare(archiver.databases).problems
    assert [problem.split(",")[0] for problem in problems] == [
        "master.schools: the publication warehouse publishes updates"
    ]
