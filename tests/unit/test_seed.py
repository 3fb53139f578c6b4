"""The seed grows what it promises: sizes, every hazardous value, every case of sharing; the same each time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest

import rehearsal
from errors import UsageError
from rehearsal import seed_plan, seed_values
from rehearsal.load import copy_text
from rehearsal.seed import production, tables
from rehearsal.seed_cases import SHARED_STUDENTS, SHARED_USERS, Tie
from rehearsal.seed_plan import BIG, CUSTOMER, CUSTOMER_SCHOOLS, EMPTY, EXCLUDED, SCHOOL
from rehearsal.seed_values import Row, Value

SHARDS = ("shard_1", "shard_2", "shard_3", "shard_4")
Rows = Mapping[str, Mapping[str, Sequence[Row]]]


@pytest.fixture(scope="module")
def rows() -> Rows:
    return production(SHARDS)


def column(rows: Rows, database: str, table: str, name: str) -> list[Value]:
    return [row[name] for row in rows[database][table]]


def where(rows: Rows, database: str, table: str, **wanted: Value) -> list[Row]:
    return [row for row in rows[database][table] if all(row[name] == value for name, value in wanted.items())]


def shard_of(rows: Rows, school: int) -> str:
    (found,) = where(rows, "master", "schools", id=school)
    return str(found["shard"])


def school_of(rows: Rows) -> dict[Value, Value]:
    """Classroom to school."""
    return {row["id"]: row["school_id"] for row in rows["master"]["classrooms"]}


def size(rows: Rows, school: int) -> int:
    """A school's rows, by what hangs on its classrooms."""
    classrooms = {row["id"] for row in where(rows, "master", "classrooms", school_id=school)}
    shard = rows[shard_of(rows, school)]
    enrollments = {row["id"] for row in shard["enrollments"] if row["classroom_id"] in classrooms}
    lessons = {row["id"] for row in shard["lesson_enrollments"] if row["enrollment_id"] in enrollments}
    attempts = [row for row in shard["attempts"] if row["lesson_enrollment_id"] in lessons]
    return len(classrooms) + len(enrollments) + len(lessons) + len(attempts)


def ties_of_users(rows: Rows) -> dict[Value, set[tuple[Tie, Value]]]:
    found: dict[Value, set[tuple[Tie, Value]]] = {}
    schools = school_of(rows)
    for tie, name in (
        (Tie.ADMINISTERS, "school_id"),
        (Tie.ASSIGNED, "school_id"),
        (Tie.DISTRICT, "district_id"),
        (Tie.CUSTOMER, "customer_id"),
    ):
        for row in rows["master"][tie.value]:
            found.setdefault(row["user_id"], set()).add((tie, row[name]))
    for row in rows["master"]["classroom_teachings"]:
        found.setdefault(row["user_id"], set()).add((Tie.TEACHES, schools.get(row["classroom_id"])))
    return found


def ties_of_students(rows: Rows) -> dict[Value, set[tuple[Tie, Value]]]:
    found: dict[Value, set[tuple[Tie, Value]]] = {}
    schools = school_of(rows)
    for row in rows["master"]["classroom_students"]:
        found.setdefault(row["student_id"], set()).add((Tie.LISTED, schools.get(row["classroom_id"])))
    for shard in SHARDS:
        for row in rows[shard]["enrollments"]:
            found.setdefault(row["student_id"], set()).add((Tie.ENROLLED, schools.get(row["classroom_id"])))
    return found


def test_equal_seeds_grow_equal_rows_and_others_do_not(rows: Rows) -> None:
    assert production(SHARDS) == rows
    assert production(SHARDS, seed=2015) != rows


def test_too_few_schools_are_refused() -> None:
    with pytest.raises(UsageError, match="at least 13 schools"):
        production(SHARDS, schools=12)


@pytest.mark.parametrize(("shards", "schools"), [(("only",), 13), (("east", "west"), 40)])
def test_other_shards_and_counts_grow_too(shards: tuple[str, ...], schools: int) -> None:
    grown = production(shards, schools=schools)
    assert set(grown) == {"master", *shards}
    assert len(grown["master"]["schools"]) == schools


def test_there_are_36_schools_over_four_shards_with_gaps_between_their_ids(rows: Rows) -> None:
    assert set(Counter(column(rows, "master", "schools", "shard")).values()) == {9}
    ids = [int(row["id"] or 0) for row in rows["master"]["schools"]]
    assert len(set(ids)) == 36
    assert {SCHOOL, BIG, EXCLUDED, EMPTY} < set(ids)
    assert max(ids) - min(ids) > 2 * len(ids)


def test_one_school_is_about_fifty_times_the_median(rows: Rows) -> None:
    sizes = {int(row["id"] or 0): size(rows, int(row["id"] or 0)) for row in rows["master"]["schools"]}
    assert 40 < sizes[BIG] / median(sizes.values()) < 80
    assert sum(len(table) for database in rows.values() for table in database.values()) < 40_000


def test_no_schools_enrollments_are_a_range_of_ids(rows: Rows) -> None:
    schools = school_of(rows)
    order = [schools.get(row["classroom_id"]) for row in rows["shard_4"]["enrollments"]]
    changes = sum(1 for before, after in pairwise(order) if before != after)
    assert changes > 2 * len(set(order))


def test_the_empty_school_is_referenced_nowhere(rows: Rows) -> None:
    naming = [row for table in rows["master"].values() for row in table if row.get("school_id") == EMPTY]
    assert naming == []
    assert where(rows, "master", "taggings", taggable_id=EMPTY) == []


def test_schools_without_students_or_without_classrooms_have_staff(rows: Rows) -> None:
    classrooms = {row["id"] for row in where(rows, "master", "classrooms", school_id=seed_plan.WITHOUT_STUDENTS)}
    assert classrooms
    assert not classrooms & set(column(rows, "master", "classroom_students", "classroom_id"))
    assert not where(rows, "master", "classrooms", school_id=seed_plan.WITHOUT_CLASSROOMS)
    for school in (seed_plan.WITHOUT_STUDENTS, seed_plan.WITHOUT_CLASSROOMS):
        assert where(rows, "master", "school_administrations", school_id=school)


def test_customer_1234_has_schools_on_two_shards_but_not_13(rows: Rows) -> None:
    schools = where(rows, "master", "schools", customer_id=CUSTOMER)
    assert {row["id"] for row in schools} == set(CUSTOMER_SCHOOLS)
    assert {row["shard"] for row in schools} == {"shard_1", "shard_2"}
    assert len(where(rows, "master", "schools", customer_id=1200)) > 1


@pytest.mark.parametrize("ties", SHARED_USERS)
def test_a_user_has_exactly_these_ties(rows: Rows, ties: tuple[tuple[Tie, int], ...]) -> None:
    assert set(ties) in ties_of_users(rows).values()


@pytest.mark.parametrize("ties", SHARED_STUDENTS)
def test_a_student_has_exactly_these_ties(rows: Rows, ties: tuple[tuple[Tie, int], ...]) -> None:
    assert set(ties) in ties_of_students(rows).values()


@pytest.mark.parametrize("tie", [Tie.ADMINISTERS, Tie.ASSIGNED, Tie.TEACHES, Tie.LISTED, Tie.ENROLLED])
@pytest.mark.parametrize("same", [True, False])
def test_each_tie_is_shared_on_one_shard_and_across_shards(rows: Rows, tie: Tie, same: bool) -> None:
    pairs = [
        {shard_of(rows, number) for kind, number in ties if kind is tie}
        for ties in (*SHARED_USERS, *SHARED_STUDENTS)
        if len({number for kind, number in ties if kind is tie}) > 1
    ]
    assert any((len(shards) == 1) == same for shards in pairs)


def test_a_student_of_9_is_tied_to_13_by_an_enrollment_on_its_shard_alone(rows: Rows) -> None:
    assert shard_of(rows, 9) != shard_of(rows, SCHOOL)
    wanted = {(Tie.LISTED, 9), (Tie.ENROLLED, 9), (Tie.ENROLLED, SCHOOL)}
    assert wanted in ties_of_students(rows).values()


def test_donations_have_two_owners_of_one_school_and_of_two(rows: Rows) -> None:
    schools, students = school_of(rows), ties_of_students(rows)
    found = set()
    for row in rows["master"]["donations"]:
        classroom = schools.get(row["class_id"])
        listed = {number for tie, number in students.get(row["student_id"], set()) if tie is Tie.LISTED}
        found.add((row["school_id"], classroom, min(listed, key=str, default=None)))
    assert {(SCHOOL, SCHOOL, None), (SCHOOL, None, 9), (None, 5, SCHOOL), (EXCLUDED, SCHOOL, None)} <= found


@pytest.mark.parametrize("owner", ["customer_id", "district_id"])
def test_donations_of_a_customer_or_district_have_no_other_owner(rows: Rows, owner: str) -> None:
    donations = [row for row in rows["master"]["donations"] if row[owner] is not None]
    assert donations
    assert all(row[name] is None for row in donations for name in ("school_id", "class_id", "student_id"))


def test_rows_are_duplicated_in_both_tables_without_a_key(rows: Rows) -> None:
    for table in ("classroom_students", "parents_students"):
        assert max(Counter(tuple(row.items()) for row in rows["master"][table]).values()) == 3


def test_taggings_of_others_collide_with_the_ids_of_schools(rows: Rows) -> None:
    kinds = {row["taggable_type"] for row in where(rows, "master", "taggings", taggable_id=SCHOOL)}
    assert kinds == {"School", "User", "Contest", "Classroom", None}


def test_some_rows_reference_missing_owners(rows: Rows) -> None:
    students = set(column(rows, "master", "students", "id"))
    classrooms = set(column(rows, "master", "classrooms", "id"))
    assert set(column(rows, "master", "classroom_students", "student_id")) - students
    assert set(column(rows, "master", "classroom_teachings", "classroom_id")) - classrooms
    assert set(column(rows, "shard_3", "enrollments", "student_id")) - students
    assert set(column(rows, "shard_2", "enrollments", "classroom_id")) - classrooms


@pytest.mark.parametrize(
    ("database", "table", "name", "hazards"),
    [
        ("shard_3", "attempts", "answer", seed_values.TEXTS),
        ("master", "students", "first_name", seed_values.TEXTS),
        ("master", "students", "student_number", seed_values.TEXTS),
        ("master", "classrooms", "notes", (*seed_values.TEXTS, seed_values.LONG_TEXT)),
        ("master", "classroom_goals", "target", seed_values.NUMERICS),
        ("master", "classroom_goals", "weight", seed_values.DOUBLES),
        ("master", "classroom_goals", "ends_at", seed_values.TIMESTAMPS),
        ("master", "classrooms", "periods", seed_values.TEXT_ARRAYS),
        ("master", "classrooms", "ends_on", seed_values.DATES),
        ("master", "donations", "amount", seed_values.AMOUNTS),
        ("master", "preferences", "value", seed_values.JSON),
        ("master", "school_csv_imports", "report", seed_values.JSON),
        ("master", "school_file_imports", "content", seed_values.BYTES),
        ("master", "student_sessions", "duration", seed_values.INTERVALS),
        ("master", "student_sessions", "token", seed_values.UUIDS),
        ("master", "student_settings", "readAloud", seed_values.BOOLEANS),
        ("shard_3", "attempts", "score", seed_values.DOUBLES),
        ("shard_3", "attempts", "attempted_at", seed_values.TIMES_WITH_ZONE),
        ("shard_3", "lesson_enrollments", "score", seed_values.SCORES),
        ("shard_3", "placement_attempts", "choices", seed_values.INTEGER_ARRAYS),
        ("shard_3", "enrollment_activities", "state", seed_values.BYTES),
    ],
)
def test_every_hazard_is_there(rows: Rows, database: str, table: str, name: str, hazards: Sequence[Value]) -> None:
    assert set(hazards) <= set(column(rows, database, table, name))


def test_school_13_alone_has_every_text_and_float(rows: Rows) -> None:
    classrooms = {row["id"] for row in where(rows, "master", "classrooms", school_id=SCHOOL)}
    enrollments = {row["id"] for row in rows["shard_3"]["enrollments"] if row["classroom_id"] in classrooms}
    lessons = {row["id"] for row in rows["shard_3"]["lesson_enrollments"] if row["enrollment_id"] in enrollments}
    attempts = [row for row in rows["shard_3"]["attempts"] if row["lesson_enrollment_id"] in lessons]
    assert set(seed_values.TEXTS) <= {row["answer"] for row in attempts}
    assert set(seed_values.DOUBLES) <= {row["score"] for row in attempts}


def test_activity_ends_at_the_last_moment_of_a_month_and_at_the_first_of_the_next(rows: Rows) -> None:
    ends = {end for shard in SHARDS for end in column(rows, shard, "lesson_enrollments", "ended_at")}
    assert {"2013-09-30 23:59:59.999999", "2013-10-01 00:00:00", None} <= ends


def test_only_completed_activity_was_completed(rows: Rows) -> None:
    for row in rows["shard_1"]["enrollments"]:
        assert (row["completed_at"] is not None) == (row["status"] == "completed")
        assert (row["ended_at"] is None) == (row["status"] == "active")


@pytest.mark.parametrize("database", ["master", "shard"])
def test_every_table_has_rows(rows: Rows, database: str) -> None:
    ddl = (Path(rehearsal.__file__).parent / "schema" / f"{database}.sql").read_text(encoding="utf-8")
    grown = rows["master" if database == "master" else "shard_1"]
    assert set(tables(ddl)) == {table for table, found in grown.items() if found}


def test_copy_text_distinguishes_null_from_text_and_breaks_no_line() -> None:
    row: Row = {"a": None, "b": "\\N", "c": "", "d": "one\ttwo\nthree\r", "e": True, "f": 7}
    assert copy_text([row]) == "\\N\t\\\\N\t\tone\\ttwo\\nthree\\r\tTrue\t7\n"
