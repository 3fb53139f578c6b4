"""The rows of an ordinary school: its staff and imports, its classrooms, its students."""

from __future__ import annotations

from rehearsal.seed_activity import enroll
from rehearsal.seed_plan import Plan
from rehearsal.seed_values import Value
from rehearsal.seed_world import MASTER, Roll, World


def add_school(world: World, plan: Plan) -> None:
    """Add the school's row, and everything that needs no classroom unless the plan says otherwise."""
    world.rolls[plan.id] = Roll(shard=plan.shard)
    world.add(
        MASTER,
        "schools",
        id=plan.id,
        customer_id=plan.customer_id,
        district_id=plan.district_id,
        name=plan.name,
        shard=plan.shard,
        state=(None, "PA", "O ", "")[plan.id % 4],
        active=next(world.values.booleans),
        **world.stamps(),
    )
    if plan.staff:
        _staff(world, plan.id)
        _papers(world, plan.id)
        world.add(MASTER, "taggings", **tagging(world, "School", plan.id))
        donate(world, school_id=plan.id)


def add_classroom(world: World, plan: Plan) -> None:
    """Add a classroom with its teacher, goals, and students with their work."""
    roll = world.rolls[plan.id]
    classroom_id = _classroom(world, plan.id)
    staff = (*roll.teachers, roll.administrators[0])  # so that one person administers and teaches
    teach(world, classroom_id, staff[len(roll.classrooms) % len(staff)])
    roll.classrooms.append(classroom_id)
    for _ in range(plan.students):
        student_id = add_student(world)
        roll.students.append(student_id)
        sit(world, classroom_id, student_id)
        enroll(world, roll.shard, classroom_id, student_id)


def _staff(world: World, school_id: int) -> None:
    """Add two administrators, one teacher assigned to the school, and one known only to classrooms."""
    roll = world.rolls[school_id]
    roll.administrators += [add_user(world, "administrator") for _ in range(2)]
    roll.teachers += [add_user(world, "teacher") for _ in range(2)]
    for user_id in roll.administrators:
        administer(world, school_id, user_id)
    assign(world, school_id, roll.teachers[0])


def _papers(world: World, school_id: int) -> None:
    values = world.values
    world.add(
        MASTER,
        "school_csv_imports",
        school_id=school_id,
        filename=next(values.texts),
        report=next(values.json),
        log=next(values.notes),
        rejected=next(values.text_arrays),
        created_at=world.moment(0),
    )
    world.add(
        MASTER,
        "school_file_imports",
        school_id=school_id,
        filename=next(values.texts),
        content=next(values.bytes),
        created_at=world.moment(1),
    )


def add_user(world: World, role: str, last_sign_in_at: str | None = None) -> int:
    """Add a user with preferences, and an opted-in report for every second one; return the user's id."""
    number = len(world.rows[MASTER]["users"])
    address = f"{'User' if number % 7 == 1 else 'user'}{number - number % 7}+{number}'s@example.org"
    user_id = world.add(
        MASTER,
        "users",
        email=address if number % 10 else None,
        first_name=next(world.values.names),
        last_name=next(world.values.names),
        role=role,
        authentication_token=next(world.values.uuids),
        last_sign_in_at=last_sign_in_at or next(world.values.times_with_zone),
        **world.stamps(),
    )
    for name in ("locale", "report columns"):
        world.add(MASTER, "preferences", user_id=user_id, name=name, value=next(world.values.json), **world.stamps())
    if next(world.odd):
        report = {"rollup_report_id": user_id % 3 + 1, "opted_in_on": next(world.values.dates)}
        world.add(MASTER, "user_opted_in_rollup_reports", user_id=user_id, **report)
    return user_id


def administer(world: World, school_id: int, user_id: int) -> None:
    """Make a user an administrator of a school."""
    more: dict[str, Value] = {"primary": next(world.values.booleans), "created_at": world.moment(2)}
    world.add(MASTER, "school_administrations", school_id=school_id, user_id=user_id, **more)


def assign(world: World, school_id: int, user_id: int) -> None:
    """Assign a user to a school."""
    times = world.values.times_with_zone
    more: dict[str, Value] = {"starts_at": next(times), "ends_at": next(times)}
    world.add(MASTER, "school_assignments", school_id=school_id, user_id=user_id, **more)


def teach(world: World, classroom_id: int, user_id: int) -> None:
    """Make a user a teacher of a classroom."""
    world.join(MASTER, "classroom_teachings", classroom_id=classroom_id, user_id=user_id, created_at=world.moment(3))


def _classroom(world: World, school_id: int) -> int:
    values = world.values
    classroom_id = world.add(
        MASTER,
        "classrooms",
        school_id=school_id,
        name=next(values.names),
        notes=next(values.notes),
        periods=next(values.text_arrays),
        starts_on=next(values.dates),
        ends_on=next(values.dates),
        **world.stamps(),
    )
    for number in range(2):
        world.add(
            MASTER,
            "classroom_goals",
            classroom_id=classroom_id,
            order=number,
            target=next(values.numerics),
            weight=next(values.doubles),
            note=next(values.texts),
            ends_at=next(values.timestamps),
        )
    donate(world, class_id=classroom_id)
    return classroom_id


def add_student(world: World) -> int:
    """Add a student with a session and settings, and a parent for every second one; return the student's id."""
    values = world.values
    student_id = world.add(
        MASTER,
        "students",
        first_name=next(values.names),
        last_name=next(values.names),
        student_number=next(values.texts),
        grade=world.rng.choice((None, 0, 5, 8, 12)),
        born_on=next(values.birthdays),
        **world.stamps(),
    )
    _belongings(world, student_id)
    if student_id % 2:
        parent_id = world.add(MASTER, "parents", email=None, name=next(values.names), **world.stamps())
        world.join(MASTER, "parents_students", parent_id=parent_id, student_id=student_id)
    if student_id % 5 == 0:
        donate(world, student_id=student_id)
    return student_id


def _belongings(world: World, student_id: int) -> None:
    values = world.values
    world.add(
        MASTER,
        "student_sessions",
        student_id=student_id,
        token=next(values.uuids),
        started_at=next(values.times_with_zone),
        duration=next(values.intervals),
        lessons_seen=next(values.integer_arrays),
    )
    settings: dict[str, Value] = {"readAloud": next(values.booleans), "settings": next(values.json)}
    world.add(MASTER, "student_settings", student_id=student_id, **settings, updated_at=world.moment(student_id % 300))


def sit(world: World, classroom_id: int, student_id: int) -> None:
    """Put a student into a classroom."""
    world.join(MASTER, "classroom_students", classroom_id=classroom_id, student_id=student_id)


def donate(world: World, **owners: int | None) -> None:
    """Add a donation that belongs to all of these."""
    keys = ("customer_id", "district_id", "school_id", "class_id", "student_id")
    world.add(
        MASTER,
        "donations",
        charity_id=world.rng.randrange(1, 4),
        **{key: owners.get(key) for key in keys},
        amount=next(world.values.amounts),
        exchange_rate=next(world.values.numerics),
        note=next(world.values.texts),
        created_at=world.moment(world.rng.randrange(300)),
    )


def tagging(world: World, taggable_type: str | None, taggable_id: int) -> dict[str, Value]:
    """Return a tagging of any row."""
    context = ("region", None, "", "a\tb")[taggable_id % 4]
    taggable: dict[str, Value] = {"taggable_type": taggable_type, "taggable_id": taggable_id}
    return {
        "tag_id": world.rng.randrange(1, 5),
        **taggable,
        "context": context,
        "created_at": world.moment(taggable_id),
    }
