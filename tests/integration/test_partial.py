"""One classroom of an archived school comes back with all it needs, then the rest; judged by plain SQL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from archiver.catalog.model import Part
from archiver.checks import audit
from archiver.postgres.session import Session
from archiver.postgres.tenants import TenantFilter
from archiver.records import archive_record
from archiver.records.archive_record import Record
from archiver.records.state import State
from errors import CutoverError, RefusedError, UsageError
from inventory.load import FOLDER
from tests import oracle, oracle_classroom, oracle_person
from tests.oracle import Lines
from tests.worlds import DEPTHS, NIGHT, YEAR, World, same, sql

SCHOOL, SHARD = 13, "shard_3"


@dataclass(frozen=True)
class Room:
    """A classroom, and the rows that must come back with it, as they were before the archive."""

    part: Part
    rows: Mapping[str, Mapping[str, Lines]]  # by database and table


def classrooms(world: World, school: int = SCHOOL) -> list[Room]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM classrooms WHERE school_id = %s ORDER BY id", (school,))
        return [room(world, row[0]) for row in cursor.fetchall()]


def room(world: World, classroom: int) -> Room:
    with sql(world, SHARD) as cursor:
        cursor.execute(oracle_classroom.ENROLLED, {"classroom": classroom})
        args = {"school": SCHOOL, "classroom": classroom, "enrolled": [row[0] for row in cursor.fetchall()]}
    rows = {
        "master": oracle.rows_where(world.dsns["master"], oracle_classroom.MASTER, args),
        SHARD: oracle.rows_where(world.dsns[SHARD], oracle_classroom.SHARD, args),
    }
    return Room(Part("classroom", classroom), rows)


def record_of(world: World, school: int = SCHOOL) -> Record:
    with world.archiver() as archiver:
        [record] = archive_record.of_tenant(archiver.databases.master, school)
    return record


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A run that ends after the shard's commit, before master's."""

    def commit(self: Session, *, doing: str) -> None:
        if doing.startswith("restoring") and doing.endswith("in master"):
            raise CutoverError("killed")
        committing(self, doing=doing)

    committing = Session.commit
    monkeypatch.setattr(Session, "commit", commit)
    return monkeypatch


@pytest.mark.parametrize("depth", DEPTHS)
def test_two_classrooms_come_back_one_after_the_other_and_then_the_rest(world: World, depth: str) -> None:
    before = oracle.snapshot(world.dsns)
    first, second, *_ = classrooms(world)
    assert first.rows[SHARD]["attempts"]
    assert first.rows["master"]["student_sessions"]
    world.archive(SCHOOL, depth=depth)
    archived = oracle.snapshot(world.dsns)

    world.restore(SCHOOL, only=first.part)
    one = oracle.together(archived, first.rows)
    same(one, oracle.snapshot(world.dsns))
    world.restore(SCHOOL, only=second.part)
    same(oracle.together(one, second.rows), oracle.snapshot(world.dsns))
    record = record_of(world)
    assert (record.state, record.partial) == (State.ARCHIVED, (first.part, second.part))

    world.restore(SCHOOL)
    same(before, oracle.snapshot(world.dsns))
    with sql(world, "master") as cursor:
        cursor.execute("SELECT act, details ->> 'part' FROM archiver.log ORDER BY id")
        expected = [("archive", None), *(("restore part", str(one.part)) for one in (first, second)), ("restore", None)]
        assert cursor.fetchall() == expected
        cursor.execute("SELECT count(*) FROM archiver.archives WHERE kind = 'tenant'")
        assert cursor.fetchall() == [(0,)]


@pytest.mark.parametrize("depth", DEPTHS)
def test_one_student_comes_back_with_the_rows_that_name_it_and_then_the_rest(world: World, depth: str) -> None:
    before = oracle.snapshot(world.dsns)
    with sql(world, "master") as cursor:
        cursor.execute(ONLY_HERE, {"school": SCHOOL})
        here = [row[0] for row in cursor.fetchall()]
    with sql(world, SHARD) as cursor:
        cursor.execute("SELECT student_id FROM enrollments WHERE student_id = ANY(%s) ORDER BY 1 LIMIT 1", (here,))
        [student] = cursor.fetchone() or ()
        cursor.execute(oracle_person.CLASSES, {"student": student})
        args = {"school": SCHOOL, "student": student, "classes": [row[0] for row in cursor.fetchall()]}
    rows = {
        "master": oracle.rows_where(world.dsns["master"], oracle_person.MASTER, args),
        SHARD: oracle.rows_where(world.dsns[SHARD], oracle_person.SHARD, args),
    }
    assert rows[SHARD]["attempts"] and rows["master"]["student_sessions"]
    world.archive(SCHOOL, depth=depth)
    archived = oracle.snapshot(world.dsns)

    world.restore(SCHOOL, only=Part("student", student))

    same(oracle.together(archived, rows), oracle.snapshot(world.dsns))
    assert record_of(world).partial == (Part("student", student),)
    world.restore(SCHOOL)
    same(before, oracle.snapshot(world.dsns))


ONLY_HERE = """
SELECT s.id FROM students s WHERE EXISTS (SELECT 1 FROM student_sessions x WHERE x.student_id = s.id) AND EXISTS (
    SELECT 1 FROM classroom_students cs JOIN classrooms c ON c.id = cs.classroom_id
     WHERE cs.student_id = s.id AND c.school_id = %(school)s)
 AND NOT EXISTS (
    SELECT 1 FROM classroom_students cs JOIN classrooms c ON c.id = cs.classroom_id
     WHERE cs.student_id = s.id AND c.school_id <> %(school)s)
"""


def test_pretending_loads_nothing_and_states_how_much_it_would_be(world: World) -> None:
    first, *_ = classrooms(world)
    world.archive(SCHOOL)
    before = oracle.snapshot(world.dsns)

    [restored] = world.restore(SCHOOL, only=first.part, pretend=True)

    loaded = {name: counts.inserted for name, counts in restored.result().items() if counts.inserted}
    assert loaded == {
        f"{database}.{table}": len(lines)
        for database, name in (("master", "master"), ("shard", SHARD))
        for table, lines in first.rows[name].items()
        if lines
    }
    same(before, oracle.snapshot(world.dsns))
    assert record_of(world).partial == ()


@pytest.mark.parametrize("year", [YEAR, YEAR + 1])
def test_a_half_restored_school_is_not_archived_again(world: World, year: int) -> None:
    first, *_ = classrooms(world)
    world.archive(SCHOOL)
    world.restore(SCHOOL, only=first.part)
    before = oracle.snapshot(world.dsns)

    with pytest.raises(UsageError, match=rf"School 13 is half restored \({first.part}\)") as refused:
        world.archive(SCHOOL, year=year)

    assert "inv restore.school 13" in refused.value.hint
    assert "inv archive.drop-archive 13" in refused.value.hint
    same(before, oracle.snapshot(world.dsns))


@pytest.mark.parametrize("whose", ["another school's", "nobody's"])
def test_a_classroom_that_is_not_in_the_archive_is_refused_and_nothing_is_touched(world: World, whose: str) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT min(id) FROM classrooms WHERE school_id <> 13")
        other = cursor.fetchall()[0][0] if whose == "another school's" else 999999
    world.archive(SCHOOL)
    before = oracle.snapshot(world.dsns)

    with pytest.raises(UsageError, match=f"Classroom {other} is not in the archive of school 13 of 2013"):
        world.restore(SCHOOL, only=Part("classroom", other))

    same(before, oracle.snapshot(world.dsns))
    record = record_of(world)
    assert (record.state, record.partial) == (State.ARCHIVED, ())


@pytest.mark.parametrize("then", ["the same classroom", "after another is refused", "the whole school"])
def test_a_classroom_interrupted_between_shard_and_master_is_finished_by_the_next_run(
    world: World, killed: pytest.MonkeyPatch, then: str
) -> None:
    before = oracle.snapshot(world.dsns)
    first, second, *_ = classrooms(world)
    world.archive(SCHOOL)
    archived = oracle.snapshot(world.dsns)
    with pytest.raises(CutoverError, match="killed"):
        world.restore(SCHOOL, only=first.part)
    killed.undo()
    assert record_of(world).state is State.RESTORING
    half = oracle.snapshot(world.dsns)
    assert half.tables["master"] == archived.tables["master"]
    assert half.tables[SHARD] == oracle.together(archived, first.rows).tables[SHARD]

    if then == "after another is refused":
        with pytest.raises(RefusedError, match=f"an interrupted run has restored the shard's rows of {first.part}"):
            world.restore(SCHOOL, only=second.part)
        assert record_of(world).state is State.RESTORING
    if then != "the whole school":
        world.restore(SCHOOL, only=first.part)
        same(oracle.together(archived, first.rows), oracle.snapshot(world.dsns))
    world.restore(SCHOOL)

    same(before, oracle.snapshot(world.dsns))


def test_a_classroom_is_not_restored_over_a_half_restored_school(world: World, killed: pytest.MonkeyPatch) -> None:
    before = oracle.snapshot(world.dsns)
    first, *_ = classrooms(world)
    world.archive(SCHOOL)
    with pytest.raises(CutoverError, match="killed"):
        world.restore(SCHOOL)
    killed.undo()

    with pytest.raises(RefusedError, match="an interrupted run has restored the shard's rows of all"):
        world.restore(SCHOOL, only=first.part)
    world.restore(SCHOOL)

    same(before, oracle.snapshot(world.dsns))


def test_a_classroom_that_came_back_before_brings_back_what_was_lost_since(world: World) -> None:
    first, *_ = classrooms(world)
    world.archive(SCHOOL)
    world.restore(SCHOOL, only=first.part)
    came = oracle.snapshot(world.dsns)
    with sql(world, SHARD) as cursor:
        cursor.execute("DELETE FROM hint_views")
        assert cursor.rowcount

    world.restore(SCHOOL, only=first.part)

    assert oracle.snapshot(world.dsns).tables[SHARD]["hint_views"] == first.rows[SHARD]["hint_views"]
    same(came, oracle.together(oracle.snapshot(world.dsns), {SHARD: {"hint_views": came.tables[SHARD]["hint_views"]}}))
    assert record_of(world).partial == (first.part,)


def test_a_classroom_comes_back_into_tables_that_were_migrated_since(world: World, tmp_path: Path) -> None:
    before = oracle.snapshot(world.dsns)
    first, *_ = classrooms(world)
    assert first.rows["master"]["donations"]
    world.archive(SCHOOL)
    archived = oracle.snapshot(world.dsns)
    with world.archiver() as archiver:
        fingerprint = archiver.databases.schema("master").fingerprint
    with sql(world, "master") as cursor:
        cursor.execute("ALTER TABLE donations RENAME class_id TO room_id; ALTER TABLE donations RENAME TO gifts")
    (tmp_path / "migrations").mkdir()
    (tmp_path / "migrations" / "2014.yaml").write_text(f"database: master\nbefore: {fingerprint}\n{RENAMES}")
    catalog = (FOLDER / "catalog.yaml").read_text().replace("class_id = ", "room_id = ").replace("donations:", "gifts:")
    (tmp_path / "catalog.yaml").write_text(catalog)
    today = replace(world.environment, catalog=str(tmp_path / "catalog.yaml"), migrations=str(tmp_path / "migrations"))
    later = replace(world, environment=today)

    later.restore(SCHOOL, only=first.part)
    same(gifts(oracle.together(archived, first.rows)), oracle.snapshot(world.dsns))
    later.restore(SCHOOL)

    same(gifts(before), oracle.snapshot(world.dsns))


RENAMES = "rename_tables: {donations: gifts}\ntables: {gifts: {rename: {class_id: room_id}}}"


def gifts(snapshot: oracle.Snapshot) -> oracle.Snapshot:
    """A snapshot in today's names."""
    master = {{"donations": "gifts"}.get(table, table): rows for table, rows in snapshot.tables["master"].items()}
    return replace(snapshot, tables={**snapshot.tables, "master": master})


def test_the_audit_counts_what_is_left_of_the_rest_but_no_classroom_that_came_back(world: World) -> None:
    first, second, *_ = classrooms(world)
    world.archive(SCHOOL)
    world.restore(SCHOOL, only=first.part)

    with world.archiver() as archiver:
        clean = audit.audit(archiver.databases, archiver.bucket, YEAR, NIGHT, TenantFilter())
        with sql(world, SHARD) as cursor:
            cursor.execute(
                "INSERT INTO enrollments (classroom_id, created_at, updated_at) VALUES (%s, now(), now())",
                (second.part.id,),
            )
        dirty = audit.audit(archiver.databases, archiver.bucket, YEAR, NIGHT, TenantFilter())

    assert (clean.archived, clean.left) == (1, {})
    assert dirty.left == {SCHOOL: 1}
