"""`inv check.integrity` counts what SQL of its own, written table by table, counts."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.checks.integrity import check_integrity
from archiver.checks.integrity_finding import IntegrityFinding
from archiver.runs.setup import databases_of
from errors import ExitCode
from runbooks import check
from runbooks.cli import call
from tests.worlds import SHARDS, World, sql

# Each finding of the seeded rows as `kind database table what`, and the keys that a person would find.
BY_SQL = {
    "several ways: master users in several of school_administrations, school_assignments, classroom_teachings": (
        "SELECT id FROM users u WHERE (SELECT count(*) FROM (SELECT 1 FROM school_administrations a"
        " WHERE a.user_id = u.id LIMIT 1) x) + (SELECT count(*) FROM (SELECT 1 FROM school_assignments a"
        " WHERE a.user_id = u.id LIMIT 1) y) + (SELECT count(*) FROM (SELECT 1 FROM classroom_teachings t"
        " WHERE t.user_id = u.id LIMIT 1) z) > 1"
    ),
    "several tenants: master users in more than one school": (
        "SELECT id FROM users u WHERE (SELECT count(DISTINCT s.id) FROM schools s WHERE s.id IN"
        " (SELECT school_id FROM school_administrations WHERE user_id = u.id UNION"
        " SELECT school_id FROM school_assignments WHERE user_id = u.id UNION SELECT c.school_id FROM classrooms c"
        " JOIN classroom_teachings t ON t.classroom_id = c.id WHERE t.user_id = u.id)) > 1"
    ),
    "several owners: master donations with more than one owner": (
        "SELECT id FROM donations WHERE num_nonnulls(school_id, class_id, student_id) > 1"
    ),
    "dangling: master taggings whose taggable_id refers to a missing row of master.schools": (
        "SELECT id FROM taggings WHERE taggable_type = 'School' AND taggable_id NOT IN (SELECT id FROM schools)"
    ),
    "dangling: master school_assignments whose school_id refers to a missing row of master.schools": (
        "SELECT id FROM school_assignments WHERE school_id NOT IN (SELECT id FROM schools)"
    ),
    "dangling: master school_administrations whose user_id refers to a missing row of master.users": (
        "SELECT id FROM school_administrations WHERE user_id NOT IN (SELECT id FROM users)"
    ),
    "dangling: master classroom_teachings whose classroom_id refers to a missing row of master.classrooms": (
        "SELECT (classroom_id, user_id) FROM classroom_teachings WHERE classroom_id NOT IN (SELECT id FROM classrooms)"
    ),
    "dangling: master classroom_students whose student_id refers to a missing row of master.students": (
        "SELECT (classroom_id, student_id) FROM classroom_students WHERE student_id NOT IN (SELECT id FROM students)"
    ),
    "dangling: master student_settings whose student_id refers to a missing row of master.students": (
        "SELECT id FROM student_settings WHERE student_id NOT IN (SELECT id FROM students)"
    ),
    "dangling: master donations whose school_id refers to a missing row of master.schools": (
        "SELECT id FROM donations WHERE school_id NOT IN (SELECT id FROM schools)"
    ),
}
ACROSS = (
    "several tenants: master students in more than one school",
    "several tenants: master donations in more than one school",
    "dangling across: shard enrollments whose student_id refers to a missing row of master.students",
    "dangling across: shard enrollments whose classroom_id refers to a missing row of master.classrooms",
)


def found(world: World) -> dict[str, IntegrityFinding]:
    with databases_of(world.environment, "test") as databases:
        return {
            f"{one.kind.value}: {one.database} {one.table.table} {one.what}": one for one in check_integrity(databases)
        }


def keys(world: World, database: str, query: str) -> list[str]:
    with sql(world, database) as cursor:
        cursor.execute(query)
        return [str(row[0]) for row in cursor.fetchall()]


def pairs(world: World, database: str, query: str) -> list[tuple[int, int]]:
    with sql(world, database) as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def test_each_finding_matches_independent_sql(world: World) -> None:
    with sql(world, "master") as cursor:  # of another type: no school is meant
        cursor.execute("INSERT INTO taggings (taggable_type, taggable_id) VALUES ('Contest', 99999)")

    findings = found(world)

    on_shards = {
        f"dangling: {shard} hint_views whose attempt_id refers to a missing row of shard.attempts" for shard in SHARDS
    }
    assert set(findings) == {*BY_SQL, *ACROSS, *on_shards}
    for name, query in BY_SQL.items():
        rows = keys(world, "master", query)
        assert findings[name].rows == len(rows) > 0, name
        assert set(findings[name].examples) <= set(rows), name
    assert not any(finding.refused for finding in findings.values())


def test_findings_across_master_and_shards_match_their_combined_rows(world: World) -> None:
    findings = found(world)
    school_of = dict(pairs(world, "master", "SELECT id, school_id FROM classrooms"))
    live = {student for (student,) in pairs(world, "master", "SELECT id FROM students")}  # type: ignore[misc]
    enrolled = [
        pair for shard in SHARDS for pair in pairs(world, shard, "SELECT student_id, classroom_id FROM enrollments")
    ]
    listed = pairs(world, "master", "SELECT student_id, classroom_id FROM classroom_students")
    schools = defaultdict(set)
    for student, classroom in (*enrolled, *listed):
        if classroom in school_of:
            schools[student].add(school_of[classroom])

    shared, donations, without_student, without_classroom = (findings[name] for name in ACROSS)
    assert shared.rows == len([student for student in live if len(schools[student]) > 1]) > 0
    assert (
        without_student.rows == len([1 for student, _ in enrolled if student is not None and student not in live]) > 0
    )
    assert without_classroom.rows == len([1 for _, room in enrolled if room is not None and room not in school_of]) > 0
    assert donations.rows > 0


def test_findings_that_the_archiver_refuses_fail_with_a_reason(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET shard = 'shard_9' WHERE id = 13")
        cursor.execute("SELECT min(id) FROM classrooms WHERE school_id = 9")
        [(classroom,)] = cursor.fetchall()
    with sql(world, "shard_4") as cursor:  # school 9 lies on another
        cursor.execute(
            "INSERT INTO enrollments (id, classroom_id, created_at, updated_at) VALUES (77, %s, now(), now())",
            (classroom,),
        )
    monkeypatch.setattr(call, "load_environment", lambda *_, **__: world.environment)

    with pytest.raises(Exit) as ended:
        check.integrity(Context(), json=True)

    assert ended.value.code == ExitCode.FAILED
    told = json.loads(capsys.readouterr().out)
    refused = {(one["kind"], one["table"]): one for one in told["findings"] if one["refused"]}
    assert told["refused"] == len(refused)
    assert refused["unknown shard", "schools"]["examples"] == ["13"]
    assert "shard_4 77" in refused["wrong shard", "enrollments"]["examples"]
