"""Whoever reads an archive without restoring it leaves an entry in the log, or reads nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from errors import ExitCode
from runbooks.cli import call
from tests.inside import Said, inv_inside
from tests.worlds import YEAR, NewWorld, World, sql

SCHOOL = 13
Inv = Callable[..., Said]


@pytest.fixture(scope="module")
def archived(new_world: NewWorld) -> Iterator[World]:
    with new_world() as world:
        world.archive(SCHOOL)
        yield world


@pytest.fixture
def inv(archived: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inv:
    """`inv` on this machine where these are the databases."""
    monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: archived.environment)
    return lambda *words: inv_inside(capsys, *words)


def entries(world: World) -> list[tuple[Any, ...]]:
    """The log, without times: act, school, year, what the entry says, and whether it names who and where."""
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT act, key::bigint, year, details - 'sha256', operator <> '' AND host <> '', record_id"
            " FROM archiver.log ORDER BY id"
        )
        return cursor.fetchall()


def a_student(world: World) -> int:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT ids[1] FROM archiver.ids WHERE table_name = 'students'")
        [student] = cursor.fetchone() or ()
    return int(student)


# Words in archiver.log, pinned.
READINGS = {
    "cat": (["archive.cat", "13", "students"], {"table": "students"}),
    "cat of a database": (
        ["archive.cat", "13", "users", "--database=master"],
        {"table": "users", "database": "master"},
    ),
    "query": (["archive.query", "13", "SELECT count(*) FROM students WHERE first_name = 'Ann'"], {}),
    "find": (["archive.find", "student", "ID"], {"table": "students", "id": "ID"}),
}


@pytest.mark.parametrize("reading", READINGS)
def test_reading_leaves_an_entry_of_who_and_what(archived: World, inv: Inv, reading: str) -> None:
    (command, *words), details = READINGS[reading]
    student, before = a_student(archived), entries(archived)

    said = inv(command, *[str(student) if word == "ID" else word for word in words])

    assert (said.code, said.err) == (0, "")
    *older, (act, *what, record) = entries(archived)
    expected = {name: student if value == "ID" else value for name, value in details.items()}
    assert (act, *what) == (reading.split()[0], SCHOOL, YEAR, expected, True)
    assert record == before[0][-1]
    assert older == before


def test_an_id_that_no_archive_holds_leaves_no_entry(archived: World, inv: Inv) -> None:
    before = entries(archived)

    assert "No archive holds" in inv("archive.find", "student", "4711000").out

    assert entries(archived) == before


@pytest.fixture
def read_only(archived: World) -> Iterator[World]:
    """The same while master takes no writes in new sessions, as a standby."""
    change = "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I {}', current_database()); END $$"
    with sql(archived, "master") as cursor:
        cursor.execute(change.format("SET default_transaction_read_only TO on"))
    yield archived
    with sql(archived, "master") as cursor:
        cursor.execute("SET TRANSACTION READ WRITE")
        cursor.execute(change.format("RESET default_transaction_read_only"))


@pytest.mark.parametrize("reading", READINGS)
def test_where_no_entry_can_be_written_nothing_is_read(read_only: World, inv: Inv, reading: str) -> None:
    command, *words = READINGS[reading][0]
    before = entries(read_only)

    said = inv(command, *[str(a_student(read_only)) if word == "ID" else word for word in words])

    assert said.out == ""
    assert said.code == ExitCode.FAILED
    assert "Reading an archive refused" in said.err
    assert "Name in the inventory the server that takes writes as master." in said.err
    assert entries(read_only) == before


def test_a_role_that_may_not_write_the_log_is_told_what_to_grant(archived: World, inv: Inv) -> None:
    with sql(archived, "master") as cursor:
        cursor.execute("REVOKE INSERT ON archiver.log FROM CURRENT_USER")
    try:
        said = inv("archive.cat", "13", "students")
    finally:
        with sql(archived, "master") as cursor:
            cursor.execute("GRANT INSERT ON archiver.log TO CURRENT_USER")

    assert (said.out, said.code) == ("", ExitCode.FAILED)
    assert "GRANT SELECT, INSERT ON archiver.log TO" in said.err
