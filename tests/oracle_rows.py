"""The oracle's SQL: the people that a school's rows name, and the rows that leave with it, table by table.

`t` is the table itself. Values: schools (archived), gone (of them, those whose own row goes), classrooms (theirs),
users and students (of theirs, referenced by no row that stays).
"""

from __future__ import annotations

from collections.abc import Mapping

WHO: Mapping[str, str] = {
    "enrolled": "SELECT student_id FROM enrollments WHERE classroom_id = ANY(%(classrooms)s)",
    "listed": "SELECT student_id FROM classroom_students WHERE classroom_id = ANY(%(classrooms)s)",
    "listed elsewhere": "SELECT student_id FROM classroom_students WHERE classroom_id <> ALL(%(classrooms)s)",
    "staff": """
        SELECT user_id FROM school_administrations WHERE school_id = ANY(%(schools)s)
         UNION SELECT user_id FROM school_assignments WHERE school_id = ANY(%(schools)s)
         UNION SELECT user_id FROM classroom_teachings WHERE classroom_id = ANY(%(classrooms)s)""",
    "staff elsewhere": """
        SELECT user_id FROM school_administrations WHERE school_id <> ALL(%(schools)s)
         UNION SELECT user_id FROM school_assignments WHERE school_id <> ALL(%(schools)s)
         UNION SELECT user_id FROM classroom_teachings WHERE classroom_id <> ALL(%(classrooms)s)
         UNION SELECT user_id FROM district_administrators
         UNION SELECT user_id FROM customer_administrators""",
    # A row that only references a missing user is an orphan, and stays.
    "live students": "SELECT id FROM students WHERE id = ANY(%(students)s)",
    "live users": "SELECT id FROM users WHERE id = ANY(%(users)s)",
}

# An enrollment in no classroom at all stays like any other, and names its student.
REMAINING_STUDENTS = """
    SELECT DISTINCT student_id FROM enrollments WHERE (classroom_id = ANY(%(classrooms)s)) IS NOT TRUE
"""

LEAVING_MASTER: Mapping[str, str] = {
    "schools": "t.id = ANY(%(schools)s)",
    "taggings": "t.taggable_type = 'School' AND t.taggable_id = ANY(%(schools)s)",
    "school_csv_imports": "t.school_id = ANY(%(schools)s)",
    "school_file_imports": "t.school_id = ANY(%(schools)s)",
    "school_administrations": "t.school_id = ANY(%(schools)s)",
    "school_assignments": "t.school_id = ANY(%(schools)s)",
    "users": "t.id = ANY(%(users)s)",
    "preferences": "t.user_id = ANY(%(users)s)",
    "user_opted_in_rollup_reports": "t.user_id = ANY(%(users)s)",
    "classrooms": "t.school_id = ANY(%(schools)s)",
    "classroom_goals": "t.classroom_id = ANY(%(classrooms)s)",
    "classroom_teachings": "t.classroom_id = ANY(%(classrooms)s)",
    "classroom_students": "t.classroom_id = ANY(%(classrooms)s)",
    "students": "t.id = ANY(%(students)s)",
    "student_sessions": "t.student_id = ANY(%(students)s)",
    "student_settings": "t.student_id = ANY(%(students)s)",
    "parents_students": "t.student_id = ANY(%(students)s)",
    "donations": """
        (t.school_id = ANY(%(gone)s) OR t.class_id = ANY(%(classrooms)s) OR t.student_id = ANY(%(students)s))
        AND NOT EXISTS (SELECT FROM schools o WHERE o.id = t.school_id AND o.id <> ALL(%(gone)s))
        AND NOT EXISTS (SELECT FROM classrooms o WHERE o.id = t.class_id AND o.id <> ALL(%(classrooms)s))
        AND NOT EXISTS (SELECT FROM students o WHERE o.id = t.student_id AND o.id <> ALL(%(students)s))""",
}

STAYING_AT_STUDENTS = frozenset(
    {
        "schools",
        "taggings",
        "school_csv_imports",
        "school_file_imports",
        "school_administrations",
        "school_assignments",
        "users",
        "preferences",
        "user_opted_in_rollup_reports",
    }
)

STAYING_AT_PROMOTE = STAYING_AT_STUDENTS | {"students", "student_sessions", "student_settings", "parents_students"}

LEAVING_SHARD: Mapping[str, str] = {
    "enrollments": "t.classroom_id = ANY(%(classrooms)s)",
    "lesson_enrollments": """
        t.enrollment_id IN (SELECT id FROM enrollments WHERE classroom_id = ANY(%(classrooms)s))""",
    "placement_tests": """
        t.enrollment_id IN (SELECT id FROM enrollments WHERE classroom_id = ANY(%(classrooms)s))""",
    "placement_attempts": """
        t.placement_test_id IN (
            SELECT p.id FROM placement_tests p JOIN enrollments e ON e.id = p.enrollment_id
             WHERE e.classroom_id = ANY(%(classrooms)s))""",
    "attempts": """
        t.lesson_enrollment_id IN (
            SELECT l.id FROM lesson_enrollments l JOIN enrollments e ON e.id = l.enrollment_id
             WHERE e.classroom_id = ANY(%(classrooms)s))""",
    "enrollment_activities": """
        t.lesson_enrollment_id IN (
            SELECT l.id FROM lesson_enrollments l JOIN enrollments e ON e.id = l.enrollment_id
             WHERE e.classroom_id = ANY(%(classrooms)s))""",
    "hint_views": """
        t.attempt_id IN (
            SELECT a.id FROM attempts a JOIN lesson_enrollments l ON l.id = a.lesson_enrollment_id
              JOIN enrollments e ON e.id = l.enrollment_id WHERE e.classroom_id = ANY(%(classrooms)s))""",
    "enrollment_activity_attemptables": """
        t.enrollment_activity_id IN (
            SELECT a.id FROM enrollment_activities a JOIN lesson_enrollments l ON l.id = a.lesson_enrollment_id
              JOIN enrollments e ON e.id = l.enrollment_id WHERE e.classroom_id = ANY(%(classrooms)s))""",
}
