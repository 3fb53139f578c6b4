"""Facts that went unreported: late rows, older copies of a dropped archive, tables that completeness does not read."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import pytest

from archiver.checks.audit import Audit, audit
from archiver.completeness import completeness
from archiver.delete import many
from archiver.postgres.tenants import TenantFilter
from archiver.runs.context import ArchiveOutcome
from archiver.store.bucket import Bucket, _client
from errors import CutoverError
from runbooks.cli import call
from tests.inside import Said, inv_inside
from tests.worlds import NIGHT, YEAR, NewWorld, World, school_ids, sql

SCHOOL, SHARD = 13, "shard_3"
SOME = (5, 13)
LATE = {"enrollments": 1, "hint_views": 3}  # rows, by table

# Both name rows that are just deleted, and no foreign key looks.
ENROLLMENT = "INSERT INTO enrollments (classroom_id, created_at, updated_at) VALUES (%s, now(), now())"
HINTS = "INSERT INTO hint_views (attempt_id, created_at) SELECT unnest(%s::bigint[]), now()"
ATTEMPTS = """
SELECT a.id FROM attempts a JOIN lesson_enrollments l ON l.id = a.lesson_enrollment_id
  JOIN enrollments e ON e.id = l.enrollment_id WHERE e.classroom_id = ANY(%s) ORDER BY a.id LIMIT 3
"""


@dataclass(frozen=True)
class Late:
    """A night in which rows came between a shard's commit and master's."""

    outcome: ArchiveOutcome  # of the school
    audit: Audit

    @property
    def told(self) -> Mapping[str, int]:
        """The run's report of rows that appeared."""
        return self.outcome.detail.appeared if self.outcome.detail else {}


def rooms_of(world: World) -> list[int]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM classrooms WHERE school_id = %s ORDER BY id", (SCHOOL,))
        return [row[0] for row in cursor.fetchall()]


@pytest.fixture(scope="module")
def late(new_world: NewWorld) -> Iterator[Late]:
    """A run over many, in which late rows come into two tables of a shard."""
    with new_world() as world, pytest.MonkeyPatch.context() as patch:
        rooms, outcomes = rooms_of(world), list[ArchiveOutcome]()
        with sql(world, SHARD) as cursor:
            cursor.execute(ATTEMPTS, (rooms,))
            attempts = [row[0] for row in cursor.fetchall()]
        assert len(attempts) == LATE["hint_views"]
        empty_master = many.empty_master

        def busy(*args: object) -> object:
            with sql(world, SHARD) as cursor:
                cursor.execute(ENROLLMENT, (rooms[0],))
                cursor.execute(HINTS, (attempts,))
            return empty_master(*args)  # type: ignore[arg-type]

        patch.setattr(many, "empty_master", busy)
        world.archive_together(*SOME, on_result=outcomes.append)
        with world.archiver() as archiver:
            found = audit(archiver.databases, archiver.bucket, YEAR, NIGHT, TenantFilter())
        [outcome] = [one for one in outcomes if one.item == SCHOOL]
        yield Late(outcome=outcome, audit=found)


@pytest.mark.parametrize("table", LATE)
def test_a_row_added_between_two_commits_of_a_run_over_many_is_reported(late: Late, table: str) -> None:
    assert late.outcome.error or late.told.get(f"shard.{table}") == LATE[table]


def test_the_audit_of_a_night_reports_late_rows_of_a_deleted_classroom(late: Late) -> None:
    assert late.audit.left[SCHOOL] >= LATE["enrollments"]


def test_the_audit_of_a_night_reports_late_rows_of_deleted_rows_of_a_shard(late: Late) -> None:
    assert late.audit.left[SCHOOL] >= sum(LATE.values())


def dropped(world: World, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Archive the school, drop the archive for good, and return the output."""
    world.archive(SCHOOL)
    patch.setattr(call, "load_environment", lambda *_, **__: world.environment)
    tarball = f"{YEAR}_school_{SCHOOL}.tar.gz"
    said = inv_inside(capsys, "archive.drop-archive", str(SCHOOL), f"--tarball={tarball}", "--here")
    assert said.code == 0, said
    return said


def test_dropping_an_archive_reports_earlier_ones_of_the_same_rows(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bucket = Bucket(world.environment.store)
    with world.by_one_worker() as worker:
        worker.archive(SCHOOL)
        [earlier] = bucket.keys(f"{YEAR}/{SCHOOL}/")
        worker.restore(SCHOOL)

    said = dropped(world, monkeypatch, capsys)

    assert list(bucket.keys(f"{YEAR}/{SCHOOL}/")) == [] or earlier in said.out + said.err


def test_dropping_an_archive_from_a_versioned_bucket_reports_what_stays(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = replace(world.environment.store, bucket="keeps-all")
    client = _client(store.endpoint, store.region, store.credentials)
    client.create_bucket(Bucket=store.bucket)
    client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})

    said = dropped(replace(world, environment=replace(world.environment, store=store)), monkeypatch, capsys)

    left = client.list_object_versions(Bucket=store.bucket, Prefix=f"{store.prefix}/{YEAR}/{SCHOOL}/")
    assert not left.get("Versions") or "version" in (said.out + said.err).lower()


UNSEEN = {
    "notes": "CREATE SCHEMA crm; CREATE TABLE crm.notes (id serial PRIMARY KEY, student_id bigint, body text)",
    "study_groups": "CREATE TABLE study_groups (id serial PRIMARY KEY, student_ids bigint[])",
    "circles": "CREATE TABLE circles (id serial PRIMARY KEY, students_ids bigint[])",
    "student_report": "CREATE MATERIALIZED VIEW student_report AS SELECT id, first_name, last_name FROM students",
}


@pytest.fixture(scope="module")
def unseen(new_world: NewWorld) -> Iterator[World]:
    """A product with students' rows in places at which completeness does not look."""
    with new_world() as world:
        with sql(world, "master") as cursor:
            for statement in UNSEEN.values():
                cursor.execute(statement)
            cursor.execute("INSERT INTO crm.notes (student_id, body) SELECT id, 'has asthma' FROM students")
        yield world


@pytest.mark.parametrize("table", UNSEEN)
def test_completeness_names_whatever_can_hold_a_students_rows(unseen: World, table: str) -> None:
    with unseen.archiver() as archiver:
        problems = completeness.compare(archiver.databases).problems

    assert [problem for problem in problems if table in problem]


def test_no_student_is_deleted_with_rows_left_elsewhere_unreported(unseen: World) -> None:
    with contextlib.suppress(CutoverError):
        unseen.archive(SCHOOL)

    with unseen.archiver() as archiver:
        found = audit(archiver.databases, archiver.bucket, YEAR, NIGHT, TenantFilter())
    assert SCHOOL in school_ids(unseen) or found.left.get(SCHOOL)
