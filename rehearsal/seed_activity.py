"""A student's work in a classroom: an enrollment and all rows below it, on a shard."""

from __future__ import annotations

from rehearsal.seed_values import Value
from rehearsal.seed_world import YEAR, World

LESSONS = 2  # per enrollment
ATTEMPTS = 2  # per lesson


def enroll(world: World, shard: str, classroom_id: int, student_id: int) -> int:
    """Add an enrollment with its lessons, and a placement test to every second one; return its id."""
    start = world.rng.randrange(200) - YEAR * next(world.years_ago)
    enrollment_id = world.add(
        shard,
        "enrollments",
        classroom_id=classroom_id,
        student_id=student_id,
        pathway=next(world.values.texts),
        **_progress(world, start, world.rng.randrange(10, 90)),
    )
    for number in range(LESSONS):
        _lesson(world, shard, enrollment_id, start + 10 * number)
    if next(world.odd):
        _placement_test(world, shard, enrollment_id, start)
    return enrollment_id


def _progress(world: World, start: int, days: int) -> dict[str, Value]:
    """Return status and times: an active one has no end, and only a completed one has a completion time."""
    status = next(world.statuses)
    end = world.moment(start + days)
    return {
        "status": status,
        "completed_at": end if status == "completed" else None,
        "ended_at": None if status == "active" else end,
        "created_at": world.moment(start),
        "updated_at": end,
    }


def _lesson(world: World, shard: str, enrollment_id: int, start: int) -> None:
    lesson_id = world.add(
        shard,
        "lesson_enrollments",
        enrollment_id=enrollment_id,
        lesson_id=world.rng.randrange(1, 400),
        score=next(world.values.scores),
        passed=next(world.values.booleans),
        **_progress(world, start, world.rng.randrange(30)),
    )
    attempts = [_attempt(world, shard, lesson_id, start + number, number) for number in range(ATTEMPTS)]
    world.add(shard, "hint_views", attempt_id=attempts[0], hint_id=lesson_id % 90, created_at=world.moment(start))
    _activity(world, shard, lesson_id, start, "Attempt", attempts[-1])


def _attempt(world: World, shard: str, lesson_id: int, day: int, number: int) -> int:
    values = world.values
    return world.add(
        shard,
        "attempts",
        lesson_enrollment_id=lesson_id,
        order=number,
        answer=next(values.texts),
        score=next(values.doubles),
        outcome=("right", "wrong", "skipped", "gave up", None)[lesson_id % 5],
        attempted_at=next(values.times_with_zone),
        time_spent=next(values.intervals),
        created_at=world.moment(day),
    )


def _activity(world: World, shard: str, lesson_id: int, day: int, kind: str, attemptable_id: int) -> None:
    activity_id = world.add(
        shard,
        "enrollment_activities",
        lesson_enrollment_id=lesson_id,
        kind=kind.lower(),
        state=next(world.values.bytes),
        created_at=world.moment(day),
    )
    world.add(
        shard,
        "enrollment_activity_attemptables",
        enrollment_activity_id=activity_id,
        attemptable_type=kind,
        attemptable_id=attemptable_id,
    )


def _placement_test(world: World, shard: str, enrollment_id: int, day: int) -> None:
    test_id = world.add(
        shard,
        "placement_tests",
        enrollment_id=enrollment_id,
        questions=enrollment_id % 8,  # with no question, its percentage is NULL
        correct=enrollment_id % 3,
        created_at=world.moment(day),
    )
    for _ in range(2):
        world.add(
            shard,
            "placement_attempts",
            placement_test_id=test_id,
            choices=next(world.values.integer_arrays),
            response=next(world.values.json),
            weight=next(world.values.numerics),
            created_at=world.moment(day),
        )
