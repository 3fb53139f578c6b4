"""The way back proves itself: what a restore writes is what the archive holds, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import IO, Any

import pytest

from archiver.catalog.model import Part
from archiver.format.bundle import Archive
from archiver.load import fit
from archiver.runs import restore
from errors import DamagedError, RefusedError
from rehearsal.postgres_server import Cluster
from tests import oracle
from tests.cases.products import Product, goes_and_comes_back, run, schools, standing
from tests.worlds import NewWorld, World, same

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


STUDENTS = """
CREATE TABLE students (id integer PRIMARY KEY, school_id integer REFERENCES schools, name text, grade integer,
    updated_at timestamp DEFAULT '2014-01-01');
INSERT INTO students VALUES (1, 1, 'Ann', 1), (2, 1, 'Ben', 2), (3, 2, 'Cid', 3);
CREATE TABLE marks (student_id integer REFERENCES students, mark integer);
INSERT INTO marks VALUES (1, 5), (1, 5), (1, 4), (3, 2);
CREATE FUNCTION act() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$;
"""
TRIGGERS = {
    "changes the row": ("students", "BEFORE INSERT", "NEW.grade := 0; RETURN NEW;"),
    "changes it afterwards, in a subtransaction": (
        "students",
        "AFTER INSERT",
        "BEGIN UPDATE public.students SET grade = 0 WHERE id = NEW.id; EXCEPTION WHEN OTHERS THEN NULL; END;"
        " RETURN NULL;",
    ),
    "changes it once another table is loaded": (
        "marks",
        "AFTER INSERT",
        "UPDATE public.students SET grade = 0 WHERE id = NEW.student_id; RETURN NULL;",
    ),
    "drops it": ("students", "BEFORE INSERT", "RETURN NULL;"),
    "deletes it": ("marks", "AFTER INSERT", "DELETE FROM public.marks WHERE mark = NEW.mark; RETURN NULL;"),
    "changes a row without key": ("marks", "BEFORE INSERT", "NEW.mark := 6; RETURN NEW;"),
    "makes a row without key equal to another": ("marks", "BEFORE INSERT", "NEW.mark := 5; RETURN NEW;"),
    "doubles a row without key": (
        "marks",
        "AFTER INSERT",
        "IF pg_trigger_depth() = 1 THEN INSERT INTO public.marks VALUES (NEW.*); END IF; RETURN NULL;",
    ),
}


def students(act: str, *, table: str = "", trigger: str = "") -> Product:
    """Students with marks, which have no key; the catalog lists a trigger `act` on one of the tables."""
    allowed = {name: f", triggers: {{act: {trigger}}}" if name == table else "" for name in ("students", "marks")}
    return schools(
        STUDENTS.format(act or "RETURN NEW;"),
        f"students: {{group: student, found_by: [school_id = schools.id]{allowed['students']}}}",
        f"marks: {{group: student, found_by: [student_id = students.id]{allowed['marks']}}}",
    )


def archived_while_disabled(world: World, table: str) -> None:
    """Archive a school while the trigger rests."""
    run(world, "master", f"ALTER TABLE {table} DISABLE TRIGGER act")
    world.archive(1)
    run(world, "master", f"ALTER TABLE {table} ENABLE TRIGGER act")


@pytest.mark.parametrize(("table", "when", "act"), TRIGGERS.values(), ids=TRIGGERS)
def test_a_trigger_that_the_catalog_lets_fire_changes_no_row_that_comes(
    new_world: NewWorld, tmp_path: Path, table: str, when: str, act: str
) -> None:
    """Nothing is deleted that it would change; was it disabled then, nothing comes back."""
    with standing(new_world, tmp_path, students(act, table=table, trigger="does no harm")) as world:
        create = f"CREATE TRIGGER act {when} ON {table} FOR EACH ROW EXECUTE FUNCTION act()"
        run(world, "master", create)
        live = oracle.snapshot(world.dsns)
        with pytest.raises(
            RefusedError, match=r"rows of master\.(students|marks) would not come back.* the trigger act"
        ):
            world.archive(1)
        same(live, oracle.snapshot(world.dsns))
        archived_while_disabled(world, table)
        out = oracle.snapshot(world.dsns)
        with pytest.raises(RefusedError, match=r"Loading master\.(students|marks)"):
            world.restore(1)
        same(out, oracle.snapshot(world.dsns))


def test_a_refusal_names_the_columns_and_the_line_that_allows_them(new_world: NewWorld, tmp_path: Path) -> None:
    act = "NEW.grade := 0; NEW.updated_at := now(); RETURN NEW;"
    with standing(new_world, tmp_path, students(act, table="students", trigger="stamps")) as world:
        run(world, "master", "CREATE TRIGGER act BEFORE INSERT ON students FOR EACH ROW EXECUTE FUNCTION act()")
        archived_while_disabled(world, "students")
        with pytest.raises(RefusedError, match="2 rows are not as they were sent, in grade, updated_at") as refused:
            world.restore(1)
        assert "changes: {act: [grade, updated_at]}" in refused.value.hint


def test_columns_that_the_catalog_lets_a_trigger_set_may_differ_and_no_others(
    new_world: NewWorld, tmp_path: Path
) -> None:
    act = "NEW.updated_at := '2015-01-01'; RETURN NEW;"
    allowed = "stamps the row}, changes: {act: [updated_at]"
    with standing(new_world, tmp_path, students(act, table="students", trigger=allowed)) as world:
        run(world, "master", "CREATE TRIGGER act BEFORE INSERT ON students FOR EACH ROW EXECUTE FUNCTION act()")
        world.archive(1)
        world.restore(1)
        found = run(world, "master", "SELECT id, grade, updated_at::date::text FROM students ORDER BY id")
        assert found == [(1, 1, "2015-01-01"), (2, 2, "2015-01-01"), (3, 3, "2014-01-01")]


def test_a_member_that_changes_after_it_was_opened_is_not_loaded(
    new_world: NewWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with standing(new_world, tmp_path, students("")) as world:
        world.archive(1)
        out, opened, fitting = oracle.snapshot(world.dsns), Archive.open, fit.fitting

        def changed(archive: Archive, member: str) -> IO[bytes]:
            return BytesIO(opened(archive, member).read().replace(b"Ann", b"Eve"))

        def then_changed(*words: Any) -> Any:
            found = fitting(*words)
            monkeypatch.setattr(Archive, "open", changed)
            return found

        monkeypatch.setattr(restore, "fitting", then_changed)
        with pytest.raises(DamagedError, match=r"master/students\.copy changed"):
            world.restore(1)
        same(out, oracle.snapshot(world.dsns))


SHARED = """
CREATE SEQUENCE numbers {step};
CREATE TABLE rooms (id bigint PRIMARY KEY DEFAULT nextval('numbers'), school_id integer REFERENCES schools);
CREATE TABLE desks (id bigint PRIMARY KEY DEFAULT nextval('numbers'), school_id integer REFERENCES schools);
INSERT INTO rooms (school_id) VALUES (1), (1);
INSERT INTO desks (school_id) VALUES (1), (1);
"""
ROOMS, DESKS = f"rooms: {THINGS}", f"desks: {THINGS}"


@pytest.mark.parametrize("step", ["", "INCREMENT BY -1"], ids=["up", "down"])
@pytest.mark.parametrize("reset", ["ALTER SEQUENCE numbers RESTART", "SELECT setval('numbers', {second}, false)"])
def test_a_plan_names_the_sequence_of_two_tables_and_its_hint_lets_the_restore_pass(
    new_world: NewWorld, tmp_path: Path, step: str, reset: str
) -> None:
    with standing(new_world, tmp_path, schools(SHARED.format(step=step), ROOMS, DESKS)) as world:
        before = oracle.snapshot(world.dsns)
        world.archive(1)
        run(world, "master", reset.format(second=-2 if step else 2))
        plan = world.plan(1)
        assert plan.refused
        assert "public.numbers would give out" in str(plan.comparison.refusals[0])
        while True:
            try:
                world.restore(1)
                break
            except RefusedError as error:
                assert "it would give ids out twice" in str(error)
                run(world, "master", error.hint)
        same(before, oracle.snapshot(world.dsns))


def test_a_sequence_beyond_the_archived_ids_is_left_as_it_is(new_world: NewWorld, tmp_path: Path) -> None:
    with standing(new_world, tmp_path, schools(SHARED.format(step=""), ROOMS, DESKS)) as world:
        world.archive(1)
        run(world, "master", "SELECT setval('numbers', 5, false)")
        world.restore(1)
        assert run(world, "master", "SELECT nextval('numbers')") == [(5,)]


BOOKINGS = """
CREATE TABLE rooms (id integer PRIMARY KEY, school_id integer REFERENCES schools, name text, level integer,
    at int4range);
INSERT INTO rooms VALUES (1, 1, 'Red', 1, '[1,5)'), (2, 1, 'red', 2, '[2,6)'), (3, 2, 'blue', 9, '[7,9)');
"""
PARTITIONED = """
ALTER TABLE rooms RENAME TO before;
CREATE TABLE rooms (LIKE before INCLUDING ALL, FOREIGN KEY (school_id) REFERENCES schools) PARTITION BY LIST (id);
DROP TABLE before;
"""
# What comes while school 1 is away, and what is said of it.
LATER = {
    "an index over an expression": (
        "CREATE UNIQUE INDEX names ON rooms (lower(name))",
        "the unique index names is taken: archived 1 by archived 2",
    ),
    "an index with a condition, by a live row": (
        "CREATE UNIQUE INDEX levels ON rooms (level) WHERE level > 1; INSERT INTO rooms VALUES (9, 2, 'x', 2, 'empty')",
        "the unique index levels is taken: archived 2 by live 9",
    ),
    "a range that a live row has": (
        "ALTER TABLE rooms ADD CONSTRAINT apart EXCLUDE USING gist (at WITH &&);"
        "INSERT INTO rooms VALUES (9, 2, 'x', 9, '[0,3)')",
        "the unique index apart is taken: archived 1 by live 9, archived 2 by live 9, archived 1 by archived 2",
    ),
    "a check that was not validated": (
        "ALTER TABLE rooms ADD CONSTRAINT low CHECK (level < 2 OR name LIKE 'b%') NOT VALID",
        "the constraint low forbids rows: archived 2",
    ),
    "a partition for some rows only": (
        f"{PARTITIONED} CREATE TABLE first_room PARTITION OF rooms FOR VALUES IN (1)",
        "there is no partition for rows: archived 2",
    ),
    "a table that has no partition yet": (PARTITIONED, "there is no partition for rows: archived 1, 2"),
}


@pytest.mark.parametrize(("change", "words"), LATER.values(), ids=LATER)
def test_a_plan_and_a_restore_name_the_rows_that_a_later_constraint_forbids(
    new_world: NewWorld, tmp_path: Path, change: str, words: str
) -> None:
    with standing(new_world, tmp_path, schools(BOOKINGS, ROOMS)) as world:
        world.archive(1)
        run(world, "master", change)
        out = oracle.snapshot(world.dsns)
        assert [str(each) for each in world.plan(1).comparison.refusals] == [f"master.rooms: {words}"]
        with pytest.raises(RefusedError, match="Restoring school 1 refused") as refused:
            world.restore(1)
        assert words in str(refused.value)
        assert "--mapping" in refused.value.hint
        same(out, oracle.snapshot(world.dsns))


@pytest.mark.parametrize("event", ["INSERT", "DELETE"])
def test_a_trigger_that_may_fire_reads_a_table_without_naming_its_schema(
    new_world: NewWorld, tmp_path: Path, event: str
) -> None:
    act = "PERFORM count(*) FROM run; RETURN NULL;"
    with standing(new_world, tmp_path, students(act, table="marks", trigger="only reads")) as world:
        run(world, "master", "CREATE TABLE run (id integer)")
        run(world, "master", f"CREATE TRIGGER act AFTER {event} ON marks FOR EACH ROW EXECUTE FUNCTION act()")
        goes_and_comes_back(world, 1, 2, together=True)
        assert run(world, "master", "SHOW search_path") == [('"$user", public',)]


PARTS = """
CREATE TABLE rooms (id numeric PRIMARY KEY, school_id integer REFERENCES schools, code char(6), name text);
INSERT INTO rooms VALUES (1.0, 1, 'a', E'one\\ttab'), (2, 1, 'b', 'two'), (3, 2, 'c', 'three');
CREATE TABLE desks (id integer PRIMARY KEY, {column});
INSERT INTO desks VALUES {rows};
"""
DESKS_OF = {
    "padded text": ("code char(6)", "(1, 'a'), (2, 'b'), (3, 'c')", "code = rooms.code"),
    "text with a tab": ("name text", r"(1, E'one\ttab'), (2, 'two'), (3, 'three')", "name = rooms.name"),
    "a number of other digits, under a condition on one": (
        "room numeric(5,2), level numeric",
        "(1, 1, 2.50), (2, 2, 2.5), (3, 3, 2.5), (4, 2, 2)",
        "room = rooms.id where level = 2.500",
    ),
}


@pytest.mark.parametrize(("column", "rows", "link"), DESKS_OF.values(), ids=DESKS_OF)
def test_a_part_has_the_rows_that_the_server_calls_equal(
    new_world: NewWorld, tmp_path: Path, column: str, rows: str, link: str
) -> None:
    product = schools(PARTS.format(column=column, rows=rows), ROOMS, f"desks: {{group: thing, found_by: ['{link}']}}")
    catalog = product.catalog.replace("title: name}", "title: name, parts: {room: rooms}}")
    with standing(new_world, tmp_path, replace(product, catalog=catalog)) as world:
        world.archive(1)
        world.restore(1, only=Part("room", 1))
        assert run(world, "master", "SELECT id FROM desks WHERE id < 3") == [(1,)]
        world.restore(1)
