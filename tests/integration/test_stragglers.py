"""Rows of a school that were written since a moment, by the catalog's time columns: what an old warehouse lacks."""

from __future__ import annotations

from datetime import UTC, datetime

from archiver.checks.newer_rows import newer_rows, timeless
from archiver.postgres import tenants
from runbooks.archives.stragglers import lines, to_plain
from runbooks.cli.tables import TextTable
from tests.worlds import World, sql

SINCE = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)  # nothing of the seed is so new
STUDENTS = """
    UPDATE students SET updated_at = %s WHERE id IN (
        SELECT student_id FROM classroom_students JOIN classrooms c ON c.id = classroom_id WHERE school_id = %s
         ORDER BY student_id {} LIMIT 1)"""
SESSIONS = """
    UPDATE student_sessions SET started_at = %s WHERE student_id IN (
        SELECT student_id FROM classroom_students JOIN classrooms c ON c.id = classroom_id WHERE school_id = %s)"""
ENROLLMENTS = "UPDATE enrollments SET updated_at = %s WHERE classroom_id = ANY(%s)"


def test_rows_written_since_then_are_counted_in_master_and_shard_whatever_the_time_zone(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("SET TimeZone TO 'America/New_York'")
        cursor.execute(STUDENTS.format("ASC"), ("2030-01-01 12:00", 21))
        cursor.execute(STUDENTS.format("DESC"), ("2030-01-01 11:59", 21))
        cursor.execute(SESSIONS, ("2030-01-01 07:00-05", 21))
        sessions = cursor.rowcount
        cursor.execute(
            "SELECT shard, array_agg(c.id) FROM schools s JOIN classrooms c ON school_id = s.id"
            " WHERE s.id = 21 GROUP BY 1"
        )
        ((shard, classrooms),) = cursor.fetchall()
    with sql(world, shard) as cursor:
        cursor.execute(ENROLLMENTS, ("2030-01-01 12:00", classrooms))
        enrollments = cursor.rowcount
    assert sessions and enrollments

    with world.archiver() as archiver:
        databases = archiver.databases
        schools = [
            newer_rows(databases, tenant, SINCE)
            for tenant in tenants.of_ids(databases.master, databases.model.tenant, (21, 25))
        ]
        uncounted = timeless(databases, shard)

    assert {school.tenant.id: dict(school.by_table) for school in schools} == {
        21: {"master.students": 1, "master.student_sessions": sessions, "shard.enrollments": enrollments},
        25: {},
    }
    rows = 1 + sessions + enrollments
    assert to_plain(schools, SINCE) == {"since": SINCE.isoformat(), "schools": {"21": rows}, "rows": rows}
    table, *sentences = lines("school", schools, SINCE, uncounted)
    assert isinstance(table, TextTable)
    assert [row[1] for row in table.rows] == [str(rows)]
    assert sentences[0] == f"The old warehouse lacks {rows} rows of 1 school, written since 2030-01-01 12:00 UTC."
    assert "master.classroom_students" in str(sentences[1])
    assert "The old warehouse lacks 0 rows of 0 schools" in str(*list(lines("school", [schools[1]], SINCE, ())))
    assert "No earlier night" in str(*list(lines("school", [], None, ())))
