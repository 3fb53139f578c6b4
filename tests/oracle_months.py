"""Rows of a shard that leave with a month, by SQL written apart from the archiver's code and catalog.

`t` is the table itself. Values: before (the first moment that is not in the span, in UTC), kept (classrooms of schools
on hold).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from tests import oracle
from tests.oracle import Snapshot

_RECENT_HINT = """
    EXISTS (SELECT FROM attempts a JOIN hint_views h ON h.attempt_id = a.id
             WHERE a.lesson_enrollment_id = {lesson}.id AND (h.created_at < %(before)s) IS NOT TRUE)"""
_LESSON_DONE = "({lesson}.status = 'completed' AND {lesson}.ended_at < %(before)s) IS TRUE"
_ALONE = """
    NOT EXISTS (SELECT FROM enrollments k WHERE k.id = {enrollment} AND k.classroom_id = ANY(%(kept)s))"""


def _lesson_goes(lesson: str) -> str:
    return (
        f"{_LESSON_DONE.format(lesson=lesson)} AND NOT {_RECENT_HINT.format(lesson=lesson)}"
        f" AND {_ALONE.format(enrollment=f'{lesson}.enrollment_id')}"
    )


def _enrollment_goes(enrollment: str) -> str:
    return f"""
        ({enrollment}.status = 'completed' AND {enrollment}.ended_at < %(before)s) IS TRUE
        AND ({enrollment}.classroom_id = ANY(%(kept)s)) IS NOT TRUE
        AND NOT EXISTS (
            SELECT FROM lesson_enrollments x
             WHERE x.enrollment_id = {enrollment}.id
               AND (NOT {_LESSON_DONE.format(lesson="x")} OR {_RECENT_HINT.format(lesson="x")}))"""


_LESSON_OF = f"SELECT FROM lesson_enrollments l WHERE l.id = t.lesson_enrollment_id AND {_lesson_goes('l')}"

LEAVING: Mapping[str, str] = {
    "hint_views": """
        t.created_at < %(before)s AND NOT EXISTS (
            SELECT FROM attempts a JOIN lesson_enrollments l ON l.id = a.lesson_enrollment_id
              JOIN enrollments k ON k.id = l.enrollment_id
             WHERE a.id = t.attempt_id AND k.classroom_id = ANY(%(kept)s))""",
    "lesson_enrollments": _lesson_goes("t"),
    "attempts": f"EXISTS ({_LESSON_OF})",
    "enrollment_activities": f"EXISTS ({_LESSON_OF})",
    "enrollment_activity_attemptables": f"""
        EXISTS (SELECT FROM enrollment_activities y WHERE y.id = t.enrollment_activity_id
                   AND EXISTS ({_LESSON_OF.replace("t.lesson", "y.lesson")}))""",
    "enrollments": _enrollment_goes("t"),
    "placement_tests": f"EXISTS (SELECT FROM enrollments e WHERE e.id = t.enrollment_id AND {_enrollment_goes('e')})",
    "placement_attempts": f"""
        EXISTS (SELECT FROM placement_tests p JOIN enrollments e ON e.id = p.enrollment_id
                 WHERE p.id = t.placement_test_id AND {_enrollment_goes("e")})""",
}


def expected_after_month(
    dsns: Mapping[str, str], before: datetime, present: Snapshot, kept: list[int] | None = None
) -> Snapshot:
    """Return the present state without all that ended before a moment (UTC); `kept`: classrooms."""
    args = {"before": before, "kept": kept or []}
    leaving = {name: oracle.rows_where(dsn, LEAVING, args) for name, dsn in dsns.items() if name != oracle.MASTER}
    return oracle.less(present, leaving)
