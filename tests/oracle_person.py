"""The oracle's SQL for one student: what must come back with one, table by table. Values: school, student, classes."""

from __future__ import annotations

from collections.abc import Mapping

from tests import oracle_classroom

CLASSES = "SELECT classroom_id FROM enrollments WHERE student_id = %(student)s"  # on the shard

MASTER: Mapping[str, str] = {
    "schools": "t.id = %(school)s",
    "classrooms": """
        t.id = ANY(%(classes)s) OR t.id IN (SELECT classroom_id FROM classroom_students WHERE student_id = %(student)s)
        OR t.id IN (SELECT class_id FROM donations WHERE student_id = %(student)s)""",
    "classroom_students": "t.student_id = %(student)s",
    "students": "t.id = %(student)s",
    "student_sessions": "t.student_id = %(student)s",
    "student_settings": "t.student_id = %(student)s",
    "parents_students": "t.student_id = %(student)s",
    "donations": "t.student_id = %(student)s",
}
SHARD: Mapping[str, str] = {
    table: where.replace("classroom_id = %(classroom)s", "student_id = %(student)s")
    for table, where in oracle_classroom.SHARD.items()
}
