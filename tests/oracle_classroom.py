"""The oracle's SQL for one classroom: what must come back with it, table by table.

`t` is the table itself. Values: school, classroom, enrolled (students enrolled in the classroom on the shard).
"""

from __future__ import annotations

from collections.abc import Mapping

ENROLLED = "SELECT student_id FROM enrollments WHERE classroom_id = %(classroom)s"

# Whoever is named and long gone brings nothing back.
_STUDENTS = """
    SELECT id FROM students WHERE id = ANY(%(enrolled)s)
        OR id IN (SELECT student_id FROM classroom_students WHERE classroom_id = %(classroom)s)"""
_TEACHERS = "SELECT user_id FROM classroom_teachings WHERE classroom_id = %(classroom)s"
_GIVEN = f"class_id = %(classroom)s OR student_id IN ({_STUDENTS})"  # the donations

MASTER: Mapping[str, str] = {
    "schools": "t.id = %(school)s",
    # A donation of a student may name another of the school's classrooms.
    "classrooms": f"""
        t.id = %(classroom)s OR
        t.school_id = %(school)s AND t.id IN (SELECT class_id FROM donations WHERE {_GIVEN})""",
    "classroom_goals": "t.classroom_id = %(classroom)s",
    "classroom_teachings": "t.classroom_id = %(classroom)s",
    "classroom_students": "t.classroom_id = %(classroom)s",
    "students": f"t.id IN ({_STUDENTS}) OR t.id IN (SELECT student_id FROM donations WHERE class_id = %(classroom)s)",
    "student_sessions": f"t.student_id IN ({_STUDENTS})",
    "student_settings": f"t.student_id IN ({_STUDENTS})",
    "parents_students": f"t.student_id IN ({_STUDENTS})",
    "donations": f"t.class_id = %(classroom)s OR t.student_id IN ({_STUDENTS})",
    "users": f"t.id IN ({_TEACHERS})",
    "preferences": f"t.user_id IN ({_TEACHERS})",
    "user_opted_in_rollup_reports": f"t.user_id IN ({_TEACHERS})",
}

_ENROLLMENTS = "SELECT id FROM enrollments WHERE classroom_id = %(classroom)s"
_LESSONS = f"SELECT id FROM lesson_enrollments WHERE enrollment_id IN ({_ENROLLMENTS})"
_ACTIVITIES = f"SELECT id FROM enrollment_activities WHERE lesson_enrollment_id IN ({_LESSONS})"

SHARD: Mapping[str, str] = {
    "enrollments": "t.classroom_id = %(classroom)s",
    "lesson_enrollments": f"t.enrollment_id IN ({_ENROLLMENTS})",
    "attempts": f"t.lesson_enrollment_id IN ({_LESSONS})",
    "hint_views": f"t.attempt_id IN (SELECT id FROM attempts WHERE lesson_enrollment_id IN ({_LESSONS}))",
    "placement_tests": f"t.enrollment_id IN ({_ENROLLMENTS})",
    "placement_attempts": f"""
        t.placement_test_id IN (SELECT id FROM placement_tests WHERE enrollment_id IN ({_ENROLLMENTS}))""",
    "enrollment_activities": f"t.lesson_enrollment_id IN ({_LESSONS})",
    "enrollment_activity_attemptables": f"t.enrollment_activity_id IN ({_ACTIVITIES})",
}
