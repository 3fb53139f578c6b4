"""The joins from a shard's tables to classrooms, for peers without a catalog. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Path:
    """A table, and the joins from it to its enrollment."""

    table: str
    up: tuple[tuple[str, str], ...]  # (column, parent), from the table to enrollments

    def of_classrooms(self, ids: str) -> str:
        """Return the SELECT of the rows below these classrooms' enrollments."""
        return f"{self._from()}.classroom_id IN ({ids})"

    def of_student(self, student: object) -> str:
        """Return the SELECT of the rows below a student's enrollments."""
        return f"{self._from()}.student_id = {student}"

    def _from(self) -> str:
        joins, child = [], "t"
        for number, (column, parent) in enumerate(self.up):
            joins.append(f" JOIN {parent} p{number} ON p{number}.id = {child}.{column}")
            child = f"p{number}"
        return f"SELECT t.* FROM {self.table} t{''.join(joins)} WHERE {child}"


_LESSON = (("enrollment_id", "enrollments"),)
_ATTEMPT = (("lesson_enrollment_id", "lesson_enrollments"), *_LESSON)
_PATHS = {
    "enrollments": (),
    "lesson_enrollments": _LESSON,
    "attempts": _ATTEMPT,
    "hint_views": (("attempt_id", "attempts"), *_ATTEMPT),
    "placement_tests": _LESSON,
    "placement_attempts": (("placement_test_id", "placement_tests"), *_LESSON),
    "enrollment_activities": _ATTEMPT,
    "enrollment_activity_attemptables": (("enrollment_activity_id", "enrollment_activities"), *_ATTEMPT),
}
PATHS: Mapping[str, Path] = {table: Path(table, up) for table, up in _PATHS.items()}
