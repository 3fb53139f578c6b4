"""Rows that several schools share, and rows whose owners no longer exist: each case once, as data."""

from __future__ import annotations

from enum import Enum

from rehearsal.seed_activity import enroll
from rehearsal.seed_plan import BIG, CUSTOMER, EXCLUDED, SCHOOL
from rehearsal.seed_schools import add_student, add_user, administer, assign, donate, sit, tagging, teach
from rehearsal.seed_world import MASTER, SCHOOL_DAYS, World


class Tie(Enum):
    """A link that binds a user or a student to the number given with it."""

    ADMINISTERS = "school_administrations"
    ASSIGNED = "school_assignments"
    TEACHES = "classroom_teachings, in a classroom of the school"
    DISTRICT = "district_administrators"
    CUSTOMER = "customer_administrators"
    LISTED = "classroom_students, in a classroom of the school"
    ENROLLED = "an enrollment on the school's shard"


Ties = tuple[tuple[Tie, int], ...]

# With four shards 13 and 45 lie on one shard, so do 5, 21 and 37, and 9 and 41.
SHARED_USERS: tuple[Ties, ...] = (
    ((Tie.ASSIGNED, SCHOOL), (Tie.ASSIGNED, 45)),
    ((Tie.ASSIGNED, SCHOOL), (Tie.ASSIGNED, 5)),
    ((Tie.ADMINISTERS, 5), (Tie.ADMINISTERS, 37)),
    ((Tie.ADMINISTERS, 5), (Tie.ADMINISTERS, 9)),
    ((Tie.TEACHES, 9), (Tie.TEACHES, 41)),
    ((Tie.TEACHES, SCHOOL), (Tie.TEACHES, 9)),
    ((Tie.ASSIGNED, 37), (Tie.TEACHES, SCHOOL)),
    ((Tie.ASSIGNED, SCHOOL), (Tie.TEACHES, 5), (Tie.ADMINISTERS, 37)),
    ((Tie.ADMINISTERS, SCHOOL), (Tie.ASSIGNED, SCHOOL), (Tie.TEACHES, SCHOOL)),
    ((Tie.ASSIGNED, SCHOOL), (Tie.ASSIGNED, EXCLUDED)),
    ((Tie.TEACHES, BIG), (Tie.TEACHES, SCHOOL)),
    ((Tie.TEACHES, SCHOOL), (Tie.DISTRICT, 13)),
    ((Tie.ASSIGNED, 9), (Tie.CUSTOMER, CUSTOMER)),
    ((Tie.DISTRICT, 20),),
    ((Tie.CUSTOMER, 1200),),
)
SHARED_STUDENTS: tuple[Ties, ...] = (
    ((Tie.LISTED, SCHOOL), (Tie.ENROLLED, SCHOOL), (Tie.LISTED, 45), (Tie.ENROLLED, 45)),
    ((Tie.LISTED, SCHOOL), (Tie.ENROLLED, SCHOOL), (Tie.LISTED, 41), (Tie.ENROLLED, 41)),
    ((Tie.LISTED, 9), (Tie.ENROLLED, 9), (Tie.ENROLLED, SCHOOL)),
    ((Tie.LISTED, SCHOOL), (Tie.ENROLLED, SCHOOL), (Tie.ENROLLED, 5)),
    ((Tie.LISTED, 37), (Tie.ENROLLED, 37), (Tie.ENROLLED, 5)),
    ((Tie.ENROLLED, SCHOOL),),
    ((Tie.LISTED, SCHOOL),),
    ((Tie.LISTED, SCHOOL), (Tie.LISTED, SCHOOL)),
    ((Tie.LISTED, SCHOOL), (Tie.ENROLLED, 45), (Tie.LISTED, 5)),
    ((Tie.LISTED, 9), (Tie.ENROLLED, 9), (Tie.LISTED, EXCLUDED), (Tie.ENROLLED, EXCLUDED)),
    ((Tie.LISTED, BIG), (Tie.ENROLLED, BIG), (Tie.LISTED, SCHOOL)),
)
# A donation's school, the school of its class, and the school of its student.
SHARED_DONATIONS: tuple[tuple[int | None, int | None, int | None], ...] = (
    (SCHOOL, SCHOOL, None),
    (SCHOOL, None, 9),
    (None, 5, SCHOOL),
    (EXCLUDED, SCHOOL, None),
    (SCHOOL, SCHOOL, SCHOOL),
    (9, 41, 37),
)


def add_cases(world: World) -> None:
    """Add every case of sharing, the duplicate rows, and the rows whose owners no longer exist."""
    for ties in SHARED_USERS:
        _tie_user(world, add_user(world, "teacher"), ties)
    for ties in SHARED_STUDENTS:
        student_id = add_student(world)
        _tie_student(world, student_id, ties)
        donate(world, student_id=student_id)
    for school, classroom, student in SHARED_DONATIONS:
        _donate(world, school, classroom, student)
    _late_hints(world)
    _twice(world)
    _taggings_of_others(world)
    _orphans(world)


def _tie_user(world: World, user_id: int, ties: Ties) -> None:
    for tie, number in ties:
        if tie is Tie.ADMINISTERS:
            administer(world, number, user_id)
        elif tie is Tie.ASSIGNED:
            assign(world, number, user_id)
        elif tie is Tie.TEACHES:
            teach(world, world.rolls[number].classrooms[0], user_id)
        elif tie is Tie.DISTRICT:
            world.add(MASTER, "district_administrators", district_id=number, user_id=user_id)
        else:
            world.add(MASTER, "customer_administrators", customer_id=number, user_id=user_id)


def _tie_student(world: World, student_id: int, ties: Ties) -> None:
    for index, (tie, number) in enumerate(ties):
        roll = world.rolls[number]
        classroom_id = roll.classrooms[index % 2]
        if tie is Tie.LISTED:
            sit(world, classroom_id, student_id)
        else:
            enroll(world, roll.shard, classroom_id, student_id)


def _donate(world: World, school: int | None, classroom: int | None, student: int | None) -> None:
    donate(
        world,
        school_id=school,
        class_id=world.rolls[classroom].classrooms[0] if classroom else None,
        student_id=world.rolls[student].students[0] if student else None,
    )


def _late_hints(world: World) -> None:
    """Add hints that were viewed again long after their lesson was over: they are not in the lesson's month."""
    for shard in world.shards:
        for attempt in world.rows[shard]["attempts"][::25]:
            world.add(
                shard, "hint_views", attempt_id=attempt["id"], hint_id=7, created_at=world.moment(SCHOOL_DAYS - 1)
            )


def _twice(world: World) -> None:
    """Add duplicate rows to tables that allow them."""
    for table in ("classroom_students", "parents_students"):
        students = {*world.rolls[SCHOOL].students, *world.rolls[BIG].students[:2]}
        first = [row for row in world.rows[MASTER][table] if row["student_id"] in students]
        for row in (first[0], first[0], first[-1]):
            world.join(MASTER, table, **row)


def _taggings_of_others(world: World) -> None:
    for taggable_type in ("User", "Contest", "Classroom", None):
        for school_id in (SCHOOL, BIG, EXCLUDED):
            world.add(MASTER, "taggings", **tagging(world, taggable_type, school_id))


def _orphans(world: World) -> None:
    """Add orphan rows, which belong to no school, and rows of schools that refer to rows that no longer exist."""
    _orphans_of_master(world)
    for shard in world.shards:
        day = world.moment(40)
        missing = world.skip(shard, "attempts")
        world.add(shard, "hint_views", attempt_id=missing, hint_id=None, created_at=day)
        world.add(shard, "placement_tests", enrollment_id=None, questions=None, correct=None, created_at=day)
    school = world.rolls[SCHOOL]
    enroll(world, school.shard, school.classrooms[0], world.skip(MASTER, "students"))
    # A classroom that no longer exists: its enrollment stays, and so must the student.
    enroll(world, world.rolls[41].shard, world.skip(MASTER, "classrooms"), world.rolls[41].students[-1])


def _orphans_of_master(world: World) -> None:
    school = world.rolls[SCHOOL]
    missing = world.skip(MASTER, "students")
    sit(world, school.classrooms[0], missing)
    world.add(MASTER, "student_settings", student_id=missing, readAloud=None, settings=None, updated_at=world.moment(4))
    administer(world, SCHOOL, world.skip(MASTER, "users"))
    # A school and a classroom that no longer exist, and live users that these rows refer to.
    assign(world, 2, world.rolls[9].teachers[0])
    teach(world, world.skip(MASTER, "classrooms"), world.rolls[5].teachers[1])
    world.add(MASTER, "taggings", **tagging(world, "School", 2))
    donate(world, school_id=2)
