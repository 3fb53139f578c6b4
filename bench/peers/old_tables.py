"""The rows that the tool of 2013 copied for a school, a classroom and a student, by table. Pure."""

from __future__ import annotations

from bench.peers.paths import PATHS

# Each is a SELECT of complete rows. {id} is the school's, the classroom's or the student's.
_TEACHERS = "SELECT user_id FROM classroom_teachings WHERE classroom_id = {id}"
_STAFF = (
    "SELECT user_id FROM school_administrations WHERE school_id = {id}"
    " UNION SELECT user_id FROM school_assignments WHERE school_id = {id}"
)
OF_SCHOOL = {
    "schools": "SELECT t.* FROM schools t WHERE id = {id}",
    "users": f"SELECT t.* FROM users t WHERE id IN ({_STAFF})",
    "preferences": f"SELECT t.* FROM preferences t WHERE user_id IN ({_STAFF})",
    "user_opted_in_rollup_reports": f"SELECT t.* FROM user_opted_in_rollup_reports t WHERE user_id IN ({_STAFF})",
    "school_administrations": "SELECT t.* FROM school_administrations t WHERE school_id = {id}",
    "school_assignments": "SELECT t.* FROM school_assignments t WHERE school_id = {id}",
    "school_csv_imports": "SELECT t.* FROM school_csv_imports t WHERE school_id = {id}",
    "school_file_imports": "SELECT t.* FROM school_file_imports t WHERE school_id = {id}",
    "taggings": "SELECT t.* FROM taggings t WHERE taggable_type = 'School' AND taggable_id = {id}",
    "donations": "SELECT t.* FROM donations t WHERE school_id = {id}",
}
OF_CLASSROOM = {
    "classrooms": "SELECT t.* FROM classrooms t WHERE id = {id}",
    "classroom_goals": "SELECT t.* FROM classroom_goals t WHERE classroom_id = {id}",
    "users": f"SELECT t.* FROM users t WHERE id IN ({_TEACHERS})",
    "classroom_teachings": "SELECT t.* FROM classroom_teachings t WHERE classroom_id = {id}",
    "donations": "SELECT t.* FROM donations t WHERE class_id = {id}",
}
OF_STUDENT = {
    "students": "SELECT t.* FROM students t WHERE id = {id}",
    "classroom_students": "SELECT t.* FROM classroom_students t WHERE student_id = {id}",
    "student_sessions": "SELECT t.* FROM student_sessions t WHERE student_id = {id}",
    "student_settings": "SELECT t.* FROM student_settings t WHERE student_id = {id}",
    "donations": "SELECT t.* FROM donations t WHERE student_id = {id}",
    "parents_students": "SELECT t.* FROM parents_students t WHERE student_id = {id}",
}
ENROLLMENT = {table: path.of_student("{id}") for table, path in PATHS.items()}  # on the shard
# Master's rows are deleted from the bottom up; as in 2013, rows still referenced by others stay.
DELETE_MASTER = (
    "DELETE FROM donations WHERE student_id = ANY({students}) OR class_id = ANY({rooms}) OR school_id = {school}",
    "DELETE FROM parents_students WHERE student_id = ANY({students})",
    "DELETE FROM student_settings WHERE student_id = ANY({students})",
    "DELETE FROM student_sessions WHERE student_id = ANY({students})",
    "DELETE FROM classroom_students WHERE classroom_id = ANY({rooms})",
    "DELETE FROM students WHERE id = ANY({students})",
    "DELETE FROM classroom_teachings WHERE classroom_id = ANY({rooms})",
    "DELETE FROM classroom_goals WHERE classroom_id = ANY({rooms})",
    "DELETE FROM classrooms WHERE id = ANY({rooms})",
    "DELETE FROM taggings WHERE taggable_type = 'School' AND taggable_id = {school}",
    "DELETE FROM school_file_imports WHERE school_id = {school}",
    "DELETE FROM school_csv_imports WHERE school_id = {school}",
    "DELETE FROM school_assignments WHERE school_id = {school}",
    "DELETE FROM school_administrations WHERE school_id = {school}",
    "DELETE FROM schools WHERE id = {school}",
)
