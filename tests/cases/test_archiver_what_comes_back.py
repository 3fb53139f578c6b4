"""Archived rows come back byte by byte as they were, or not at all; rows that cannot come back are not deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import oracle
from tests.cases.products import (
    Product,
    archived,
    goes_and_comes_back,
    out_and_back,
    refused,
    run,
    schools,
    set_for_all,
    standing,
)
from tests.worlds import NewWorld, World, same

THINGS = "things: {group: thing, found_by: [school_id = schools.id]}"
THINGS_IN_ROOMS = "things: {group: thing, found_by: [school_id = schools.id, room_id = rooms.id]}"
# Two names of 60 bytes that differ in the last three, and two of 63 that differ in the last two.
LONG, LONGEST = "x" * 57, "x" * 61
SAME_SHAPE = f"""
CREATE TABLE {LONG}aaa (id integer PRIMARY KEY, school_id integer REFERENCES schools, v text);
CREATE TABLE {LONG}bbb (id integer PRIMARY KEY, school_id integer REFERENCES schools, v text,
    other integer REFERENCES {LONG}aaa);
ALTER TABLE {LONG}aaa ADD other integer REFERENCES {LONG}bbb;
INSERT INTO {LONG}aaa VALUES (1, 1, 'A'), (2, 2, 'A');
INSERT INTO {LONG}bbb VALUES (1, 1, 'B', 1), (2, 2, 'B', 2);
UPDATE {LONG}aaa SET other = id;
"""
OTHER_SHAPE = SAME_SHAPE + f"ALTER TABLE {LONG}aaa RENAME v TO w;"
NO_CYCLE = f"""
CREATE TABLE {LONGEST}aa (id integer PRIMARY KEY, school_id integer REFERENCES schools);
CREATE TABLE {LONGEST}bb (id integer PRIMARY KEY, school_id integer REFERENCES schools);
INSERT INTO {LONGEST}aa VALUES (1, 1);
INSERT INTO {LONGEST}bb VALUES (1, 1);
"""
LISTS = """
CREATE TABLE things (id integer PRIMARY KEY, school_id integer REFERENCES schools, held {type}[]);
SET array_nulls = on;
INSERT INTO things VALUES (1, 1, '{{1,NULL}}'), (2, 2, '{{NULL}}');
"""
STUDENTS = """
CREATE TABLE counts (what text PRIMARY KEY, n integer);
INSERT INTO counts VALUES ('students', 3);
CREATE TABLE students (id integer PRIMARY KEY, school_id integer REFERENCES schools, updated_at timestamp);
INSERT INTO students VALUES (1, 1, '2014-01-01'), (2, 1, '2014-01-01'), (3, 2, '2014-01-01');
"""
TOUCH = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN NEW.updated_at := now(); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE INSERT OR UPDATE ON students FOR EACH ROW EXECUTE FUNCTION touch();
"""
COUNT = """
CREATE FUNCTION count_students() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN UPDATE public.counts SET n = n + 1 WHERE what = 'students'; RETURN NULL; END $$;
CREATE TRIGGER count_students AFTER INSERT ON students FOR EACH ROW EXECUTE FUNCTION count_students();
"""
ORPHAN = """
CREATE TABLE rooms (id integer PRIMARY KEY, school_id integer REFERENCES schools);
CREATE TABLE things (id integer PRIMARY KEY, school_id integer REFERENCES schools, room_id integer);
INSERT INTO rooms VALUES (1, 1);
INSERT INTO things VALUES (1, 1, 1), (2, 1, 99);
ALTER TABLE things ADD FOREIGN KEY (room_id) REFERENCES rooms NOT VALID;
"""
REFUSING = """
CREATE TABLE things (id integer PRIMARY KEY, school_id integer REFERENCES schools, code text);
INSERT INTO things VALUES (1, 1, 'old'), (2, 2, 'old');
CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN IF NEW.code = 'old' THEN RAISE EXCEPTION 'not allowed'; END IF; RETURN NEW; END $$;
CREATE TRIGGER look BEFORE INSERT OR UPDATE ON things FOR EACH ROW EXECUTE FUNCTION look();
"""
ROOMS = "rooms: {group: room, found_by: [school_id = schools.id]}"
ONE_WAY = {
    "a foreign key that was never validated": schools(ORPHAN, ROOMS, THINGS_IN_ROOMS),
    "the same, to a table that stays live": schools(
        ORPHAN.replace(", school_id integer REFERENCES schools);", ");", 1).replace(
            "rooms VALUES (1, 1)", "rooms VALUES (1)"
        ),
        THINGS,
        excluded="{rooms: everyone's}",
    ),
    "a check that was never validated": schools(
        "CREATE TABLE things (id integer PRIMARY KEY, school_id integer REFERENCES schools, code text);"
        "INSERT INTO things VALUES (1, 1, 'old'), (2, 2, 'old');"
        "ALTER TABLE things ADD CHECK (code <> 'old') NOT VALID",
        THINGS,
    ),
    "a trigger that drops old rows": schools(
        REFUSING.replace("RAISE EXCEPTION 'not allowed'", "RETURN NULL"),
        "things: {group: thing, found_by: [school_id = schools.id], triggers: {look: only looks at new rows}}",
    ),
    "a deferred constraint trigger": schools(
        REFUSING.replace(
            "CREATE TRIGGER look BEFORE INSERT OR UPDATE", "CREATE CONSTRAINT TRIGGER look AFTER INSERT"
        ).replace("ON things FOR EACH ROW", "ON things DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"),
        "things: {group: thing, found_by: [school_id = schools.id], triggers: {look: only looks at new rows}}",
    ),
    "a trigger that only new rows would pass": schools(
        REFUSING,
        "things: {group: thing, found_by: [school_id = schools.id], triggers: {look: only looks at new rows}}",
    ),
}


@pytest.mark.parametrize("tables", [SAME_SHAPE, OTHER_SHAPE], ids=["of one shape", "of two shapes"])
def test_tables_of_a_cycle_with_long_names_come_back_each_with_its_own_rows(
    new_world: NewWorld, tmp_path: Path, tables: str
) -> None:
    a, b = f"{LONG}aaa", f"{LONG}bbb"
    carried = (
        f"{a}: {{group: thing, found_by: [school_id = schools.id]}}",
        f"{b}: {{group: thing, found_by: [school_id = schools.id, other = {a}.id, id = {a}.other]}}",
    )
    with standing(new_world, tmp_path, schools(tables, *carried)) as world:
        goes_and_comes_back(world, 1)


def test_tables_with_the_longest_names_are_verified_and_come_back(new_world: NewWorld, tmp_path: Path) -> None:
    carried = [f"{LONGEST}{end}: {{group: thing, found_by: [school_id = schools.id]}}" for end in ("aa", "bb")]
    with standing(new_world, tmp_path, schools(NO_CYCLE, *carried)) as world:
        goes_and_comes_back(world, 1)


@pytest.mark.parametrize("type_", ["text", "integer"])
def test_a_null_in_an_array_comes_back_where_the_database_reads_it_as_text(
    new_world: NewWorld, tmp_path: Path, type_: str
) -> None:
    with standing(new_world, tmp_path, schools(LISTS.format(type=type_), THINGS)) as world:
        set_for_all(world, "array_nulls = off")
        out_and_back(world, 1)


def restored_as_it_was_or_not_at_all(world: World, since: str) -> None:
    """Archive a school, let something happen, and restore the school."""
    before = oracle.snapshot(world.dsns)
    if not archived(world, 1):
        return
    run(world, "master", since)
    gone = oracle.snapshot(world.dsns)
    same(gone if refused(lambda: world.restore(1)) else before, oracle.snapshot(world.dsns))


@pytest.mark.parametrize(
    "trigger",
    [
        pytest.param(TOUCH, id="changes the rows that come"),
        pytest.param(COUNT, id="changes other rows"),
    ],
)
def test_a_trigger_that_came_since_the_archive_changes_no_row(
    new_world: NewWorld, tmp_path: Path, trigger: str
) -> None:
    product = schools(
        STUDENTS, "students: {group: student, found_by: [school_id = schools.id]}", excluded="{counts: everyone's}"
    )
    with standing(new_world, tmp_path, product) as world:
        restored_as_it_was_or_not_at_all(world, trigger)


def test_a_trigger_that_the_catalog_calls_harmless_changes_no_row_that_comes(
    new_world: NewWorld, tmp_path: Path
) -> None:
    product = schools(
        STUDENTS + TOUCH,
        "students: {group: student, found_by: [school_id = schools.id], triggers: {touch: writes when}}",
        excluded="{counts: everyone's}",
    )
    with standing(new_world, tmp_path, product) as world:
        restored_as_it_was_or_not_at_all(world, "SELECT")


@pytest.mark.parametrize(
    "product",
    [pytest.param(product, id=name) for name, product in ONE_WAY.items()],
)
def test_rows_that_the_database_would_not_accept_again_stay_live(
    new_world: NewWorld, tmp_path: Path, product: Product
) -> None:
    with standing(new_world, tmp_path, product) as world:
        out_and_back(world, 1)


@pytest.mark.parametrize(
    "product", [value for name, value in ONE_WAY.items() if "only new rows" in name or "validated" in name]
)
def test_rows_that_the_database_would_not_accept_again_stay_live_in_a_set_as_well(
    new_world: NewWorld, tmp_path: Path, product: Product
) -> None:
    with standing(new_world, tmp_path, product) as world:
        things = run(world, "master", "SELECT * FROM things ORDER BY id")
        refused(lambda: world.archive_together(1, 2))  # school 2, which has no such row, is archived
        assert run(world, "master", "SELECT * FROM things ORDER BY id") == things
