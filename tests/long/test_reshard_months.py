"""A school moves while past months of it are archived: they come back where it lies, and go home with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from archiver.catalog.model import Part
from archiver.delete import batches
from archiver.postgres.session import Session
from archiver.records import month_record, move_record
from archiver.reshard import move
from errors import CutoverError, RefusedError
from inventory.model import Fence
from tests import oracle, oracle_moved
from tests.months import archive_months, restore_months
from tests.oracle import Lines, Snapshot
from tests.worlds import NewWorld, World, sql

DAY, MONTH = date(2014, 9, 5), "2014-07"  # July and earlier
MOVING, OTHER = 9, 25  # schools of shard_2


@pytest.fixture
def few(new_world: NewWorld, alike: str, tmp_path: Path) -> Iterator[World]:
    """A world in which every table of every shard has the same ids; few schools are where they were."""
    with new_world(("master", "shard_1", "shard_2", "shard_4"), template=alike) as world:
        with sql(world, "master") as cursor:
            cursor.execute("UPDATE schools SET shard = 'shard_4' WHERE id NOT IN (5, %s, %s)", (MOVING, OTHER))
        fence = Fence(close=f"touch {tmp_path}/{{id}}", open=f"rm {tmp_path}/{{id}}")
        yield replace(world, environment=replace(world.environment, fence=fence))


def test_a_live_schools_months_follow_it(few: World) -> None:
    before = oracle.snapshot(few.dsns)
    archive_months(few, DAY)
    assert went(before, oracle.snapshot(few.dsns), "shard_2")
    few.move_all("merge", "shard_2", "shard_1")

    restore_months(few, MONTH)

    same_rows(oracle_moved.after_merging(few, before, "shard_2", "shard_1"), oracle.snapshot(few.dsns))
    assert oracle_moved.moved(few, "shard_2", "shard_1")[MOVING] > 0
    few.move_all("split", "shard_1", "shard_2")
    same_rows(before, oracle.snapshot(few.dsns))


def test_an_archived_schools_months_come_back_with_it_where_its_shard_lies(few: World) -> None:
    before = oracle.snapshot(few.dsns)
    archive_months(few, DAY)
    few.archive(MOVING)
    few.move_all("merge", "shard_2", "shard_1")

    few.restore(MOVING)
    restore_months(few, MONTH)

    same_rows(oracle_moved.after_merging(few, before, "shard_2", "shard_1"), oracle.snapshot(few.dsns))
    few.move_all("split", "shard_1", "shard_2")
    same_rows(before, oracle.snapshot(few.dsns))


def test_a_classroom_comes_back_with_its_months_though_a_move_renumbered_its_archive_alone(few: World) -> None:
    before = oracle.snapshot(few.dsns)
    archive_months(few, DAY)
    few.move_all("merge", "shard_2", "shard_1", only=(MOVING,))
    few.archive(MOVING)
    room = room_of(few, before)

    few.restore(MOVING, only=Part("classroom", room))

    part = oracle.snapshot(few.dsns).tables["shard_1"]
    few.restore(MOVING)
    restore_months(few, MONTH)
    whole = oracle.snapshot(few.dsns)
    same_rows(oracle_moved.after_merging(few, before, "shard_2", "shard_1"), whole)
    others = {table: Counter(lines) for table, lines in before.tables["shard_1"].items()}
    for table, lines in of_room(whole.tables["shard_1"], room).items():
        assert Counter(part[table]) - others[table] == Counter(lines), table
    few.move_all("split", "shard_1", "shard_2")
    same_rows(before, oracle.snapshot(few.dsns))


def room_of(world: World, before: Snapshot) -> int:
    """Return the classroom of the school with the most rows."""
    rows = Counter(line.split(b"\t")[1] for line in before.tables["shard_2"]["enrollments"])
    lines = [line.split(b"\t") for line in before.tables["master"]["classrooms"]]
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT attnum - 1 FROM pg_attribute WHERE attrelid = 'classrooms'::regclass AND attname = 'school_id'"
        )
        [[place]] = cursor.fetchall()
    return int(max((line[0] for line in lines if line[place] == str(MOVING).encode()), key=lambda room: rows[room]))


def of_room(tables: Mapping[str, Lines], room: int) -> dict[str, Lines]:
    """Return a classroom's rows on a shard."""
    found = {"enrollments": [line for line in tables["enrollments"] if line.split(b"\t")[1] == str(room).encode()]}
    for table, parent in oracle_moved.PARENTS.items():
        ids = {line.split(b"\t")[0] for line in found[parent]}
        found[table] = [line for line in tables[table] if line.rstrip(b"\n").split(b"\t")[1] in ids]
    return found


def test_a_half_moved_schools_months_wait_until_the_move_has_ended(few: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = oracle.snapshot(few.dsns)
    with monkeypatch.context() as cut, pytest.raises(CutoverError, match="cut off here"):
        cut.setattr(move, "end", broken)
        few.move_all("merge", "shard_2", "shard_1")
    with few.archiver() as archiver:
        half = {one.tenant_id for one in move_record.half_moved(archiver.databases.master)}
    assert half

    with pytest.raises(RefusedError, match="is half moved from shard_2 to shard_1"):  # of the rows of no school
        archive_months(few, DAY)
    few.move_all("merge", "shard_2", "shard_1")
    archive_months(few, DAY)
    restore_months(few, MONTH)

    few.move_all("split", "shard_1", "shard_2")
    same_rows(before, oracle.snapshot(few.dsns))


def broken(*words: object) -> None:
    raise CutoverError("cut off here")


def test_the_monthly_run_skips_a_school_half_restored_where_its_shard_lies(few: World) -> None:
    before = oracle.snapshot(few.dsns)
    few.archive(MOVING)
    few.move_all("merge", "shard_2", "shard_1")
    with killed_at(f"restoring school {MOVING} in master"):
        few.restore(MOVING)

    with pytest.raises(RefusedError, match=f"School {MOVING} is half restored: rows of no school stay on shard_1"):
        archive_months(few, DAY)
    few.restore(MOVING)

    restore_months(few, MONTH)  # of the others, whose turn had come
    same_rows(oracle_moved.after_merging(few, before, "shard_2", "shard_1"), oracle.snapshot(few.dsns))


def test_a_month_interrupted_before_a_merge_is_finished_with_it(few: World, monkeypatch: pytest.MonkeyPatch) -> None:
    before = oracle.snapshot(few.dsns)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(batches, "close", killed)
        archive_months(few, DAY)  # shard_1 is the first
    assert went(before, oracle.snapshot(few.dsns), "shard_1")
    few.archive(5)
    few.move_all("merge", "shard_1", "shard_4")
    with few.archiver() as archiver:
        assert month_record.interrupted(archiver.databases.master, "shard_1") == ()

    few.restore(5)

    same_rows(oracle_moved.after_merging(few, before, "shard_1", "shard_4"), oracle.snapshot(few.dsns))


class Killed(BaseException):
    """The process is gone."""


def killed(*words: object) -> None:
    raise Killed


@contextmanager
def killed_at(doing: str) -> Iterator[None]:
    """Kill the process before that COMMIT."""
    commit = Session.commit

    def until(session: Session, *, doing: str) -> None:
        return killed() if doing == fatal else commit(session, doing=doing)

    fatal = doing
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Session, "commit", until)
        yield


def went(before: Snapshot, after: Snapshot, database: str) -> bool:
    """True if rows of a database are gone."""
    return before.tables[database] != after.tables[database]


def same_rows(expected: Snapshot, found: Snapshot) -> None:
    """Rows only: sequences go on."""
    assert found.tables == expected.tables, oracle.difference(expected, replace(found, sequences=expected.sequences))
