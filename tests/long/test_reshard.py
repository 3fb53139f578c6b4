"""A shard merged into another one and split off again: every row as it was, whatever ids the two had in common."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyrage import x25519

from archiver.catalog.model import Part
from archiver.mapping.id_columns import id_columns
from archiver.postgres.session import SQL, Identifier, Literal
from archiver.records.id_offsets import Region
from archiver.reshard import move, settle
from archiver.reshard.shard_sizes import shard_sizes
from errors import CutoverError, Problems, RefusedError
from inventory.model import Fence
from tests import oracle, oracle_moved
from tests.oracle import Snapshot
from tests.worlds import SHARDS, NewWorld, World, sql

KIND_ID = "attemptable_id"  # of a polymorphic pair


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A folder that has a file for each fenced school."""
    (tmp_path / "closed").mkdir()
    return tmp_path / "closed"


def fenced(world: World, closed: Path) -> World:
    fence = Fence(close=f"touch {closed}/{{id}}", open=f"rm {closed}/{{id}}")
    return replace(world, environment=replace(world.environment, fence=fence))


@pytest.fixture
def same_ids(new_world: NewWorld, alike: str, closed: Path) -> Iterator[World]:
    """A world in which every table of every shard has the same ids, and polymorphic pairs of several kinds."""
    with new_world(template=alike) as world:
        for shard in SHARDS:
            with sql(world, shard) as cursor:
                cursor.execute(KINDS)
        yield fenced(world, closed)


@pytest.fixture
def few(same_ids: World) -> World:
    """The same, of which few schools are where they were: the others moved away, and left their rows behind."""
    with sql(same_ids, "master") as cursor:
        cursor.execute("UPDATE schools SET shard = 'shard_4' WHERE id NOT IN (5, 9, 25)")  # of shards 1, 2 and 2
    return same_ids


# Rows whose number is none of the shard's: the class that stands beside it says so.
KINDS = """
INSERT INTO enrollment_activity_attemptables (enrollment_activity_id, attemptable_type, attemptable_id)
SELECT a.id, k.kind, 3 FROM enrollment_activities a, unnest(ARRAY['Contest', NULL]) k (kind)
"""


def same_rows(expected: Snapshot, found: Snapshot) -> None:
    """Rows only: sequences go on."""
    assert found.tables == expected.tables, oracle.difference(expected, replace(found, sequences=expected.sequences))


def test_four_shards_with_the_same_ids_become_one_and_four_again(same_ids: World) -> None:
    before = [oracle.snapshot(same_ids.dsns)]
    with same_ids.by_one_worker() as busy:
        for shard in SHARDS[1:]:
            busy.move_all("merge", shard, "shard_1")
            expected = oracle_moved.after_merging(same_ids, before[-1], shard, "shard_1")
            before.append(oracle.snapshot(same_ids.dsns))
            same_rows(expected, before[-1])
            assert all(oracle_moved.moved(same_ids, shard, "shard_1").values())
        for shard in reversed(SHARDS[1:]):
            busy.move_all("split", "shard_1", shard)

    after = oracle.snapshot(same_ids.dsns)
    same_rows(before[0], after)
    for database, sequences in before[0].sequences.items():
        assert all((after.sequences[database][name] or 0) >= (last or 0) for name, last in sequences.items())


def test_ids_that_lie_apart_stay_as_they_are_and_what_is_stored_is_encrypted(world: World, closed: Path) -> None:
    before = oracle.snapshot(world.dsns)
    store = replace(world.environment.store, recipients=(str(x25519.Identity.generate().to_public()),))
    encrypted = replace(world, environment=replace(world.environment, store=store))
    fenced(encrypted, closed).move_all("merge", "shard_2", "shard_1")

    assert set(oracle_moved.moved(world, "shard_2", "shard_1").values()) == {0}
    same_rows(oracle_moved.after_merging(world, before, "shard_2", "shard_1"), oracle.snapshot(world.dsns))
    assert list(closed.iterdir()) == []
    assert _rows(
        world, "master", "SELECT bool_and(location LIKE '%.age') FROM archiver.archives WHERE kind = 'move'"
    ) == [(True,)]


def test_an_archive_from_before_a_merge_comes_back_where_its_shard_lies_and_can_go_home(few: World) -> None:
    before = oracle.snapshot(few.dsns)
    few.archive(9)
    few.move_all("merge", "shard_2", "shard_1")

    few.restore(9)

    same_rows(oracle_moved.after_merging(few, before, "shard_2", "shard_1"), oracle.snapshot(few.dsns))
    assert oracle_moved.moved(few, "shard_2", "shard_1")[9] > 0
    few.move_all("split", "shard_1", "shard_2")
    same_rows(before, oracle.snapshot(few.dsns))


def test_an_archive_with_ids_from_after_a_split_comes_back_from_the_next_merge(few: World) -> None:
    few.move_all("merge", "shard_2", "shard_1")
    few.move_all("split", "shard_1", "shard_2")
    [[upto, plus]] = _rows(few, "master", "SELECT upto, plus FROM archiver.regions")
    taken = plus + max(_ids(few, "shard_2", "enrollments"))  # what another school's row is called after a merge
    assert taken > upto
    with sql(few, "shard_2") as cursor:
        cursor.execute(
            "INSERT INTO enrollments (id, classroom_id, created_at, updated_at) VALUES (%s, %s, now(), now())",
            (taken, _classroom(few, 9)),
        )
        cursor.execute("SELECT setval('enrollments_id_seq', %s)", (taken,))
    before = oracle.snapshot(few.dsns)
    few.archive(9)
    few.move_all("merge", "shard_2", "shard_1")

    few.restore(9)

    few.move_all("split", "shard_1", "shard_2")
    same_rows(before, oracle.snapshot(few.dsns))


def test_an_archive_from_before_a_merge_and_its_split_comes_back_as_it_was(few: World) -> None:
    before = oracle.snapshot(few.dsns)
    few.archive(9)
    few.move_all("merge", "shard_2", "shard_1")
    few.move_all("split", "shard_1", "shard_2")

    few.restore(9)

    same_rows(before, oracle.snapshot(few.dsns))


def test_students_archived_before_a_merge_follow_the_school_that_stayed_live(few: World) -> None:
    before = oracle.snapshot(few.dsns)
    few.archive(9, depth="students")
    few.move_all("merge", "shard_2", "shard_1")

    assert few.plan(9).shard == "shard_1"
    few.restore(9)

    same_rows(oracle_moved.after_merging(few, before, "shard_2", "shard_1"), oracle.snapshot(few.dsns))


def test_shards_merged_one_into_the_next_are_split_in_turn_and_an_older_archive_follows(few: World) -> None:
    before = oracle.snapshot(few.dsns)
    room = _classroom(few, 9)
    few.archive(9)
    few.move_all("merge", "shard_2", "shard_1")
    few.move_all("merge", "shard_1", "shard_3")

    few.restore(9, only=Part("classroom", room))
    assert _rows(few, "shard_3", f"SELECT count(*) > 0 FROM enrollments WHERE classroom_id = {room}") == [(True,)]
    few.restore(9)

    few.move_all("split", "shard_3", "shard_1")
    few.move_all("split", "shard_1", "shard_2")
    same_rows(before, oracle.snapshot(few.dsns))


def test_rows_written_since_the_merge_go_back_with_unused_ids(few: World) -> None:
    few.move_all("merge", "shard_2", "shard_1")
    [[enrollment, lesson]] = _write(few, "shard_1")
    others = set(_ids(few, "shard_2", "enrollments"))

    few.move_all("split", "shard_1", "shard_2")

    [row] = _rows(
        few,
        "shard_2",
        "SELECT l.id, e.id FROM enrollments e JOIN lesson_enrollments l"
        " ON l.enrollment_id = e.id WHERE e.pathway = 'since the merge'",
    )
    assert row[0] not in (lesson, None)
    assert row[1] not in {enrollment, *others}
    [[next_id]] = _rows(few, "shard_2", "SELECT nextval('enrollments_id_seq')")
    assert next_id > row[1]


def test_a_class_names_a_table_as_rails_has_it(few: World) -> None:
    with few.archiver() as archiver:
        columns = id_columns(archiver.model, archiver.databases.schema("shard_1"))["enrollment_activity_attemptables"]
        [value] = [one.translated(Identifier("id"), [(Region(0, 9, 100),)]) for one in columns if one.name == KIND_ID]
        query = SQL("SELECT attemptable_type, {} FROM (VALUES {}) r (attemptable_type, id)")
        kinds = ("Attempt", "LessonEnrollment", "EnrollmentActivityAttemptable", "Student", "Attempts", "")
        rows = SQL(", ").join(SQL("({}, 3)").format(Literal(kind)) for kind in kinds)
        found = archiver.databases.session("shard_1").rows(query.format(value, rows))

    assert [kind for kind, number in found if number == 103] == [*kinds[:3]]
    assert [number for kind, number in found if kind not in kinds[:3]] == [3, 3, 3]


def test_schools_of_a_list_move_and_archives_of_the_others_stay_with_their_shard(few: World) -> None:
    before = oracle.snapshot(few.dsns)
    few.archive(25)
    [moved] = few.move_all("merge", "shard_2", "shard_1", only=(9,))
    assert moved.item == 9
    assert _rows(few, "master", "SELECT count(*) FROM archiver.aliases") == [(0,)]

    few.restore(25)

    assert _rows(few, "master", "SELECT id, shard FROM schools WHERE id IN (9, 25) ORDER BY id") == [
        (9, "shard_1"),
        (25, "shard_2"),
    ]
    with pytest.raises(Problems, match="school 25 is on shard_2, not on shard_1"):
        few.move_all("split", "shard_1", "shard_2", only=(9, 25))
    assert few.preview_all("split", "shard_1", "shard_2", only=(9,))[0].in_the_way == ()
    few.move_all("split", "shard_1", "shard_2", only=(9,))
    same_rows(before, oracle.snapshot(few.dsns))


def test_a_preview_says_what_would_move_and_what_is_in_the_way_and_changes_nothing(few: World) -> None:
    few.archive(25, pretend=True)  # so that the archiver's own tables are there
    with sql(few, "shard_1") as cursor:
        cursor.execute(
            "INSERT INTO enrollments (classroom_id, created_at, updated_at) VALUES (%s, now(), now())",
            (_classroom(few, 9),),
        )
    before, own = oracle.snapshot(few.dsns), _own_tables(few)
    with few.archiver() as busy, busy.databases.tenant_lock(25, "shard_1", "shard_2"):
        refused, free = few.preview_all("merge", "shard_2", "shard_1")

    assert (oracle.snapshot(few.dsns), _own_tables(few)) == (before, own)
    assert "rows of it are already on shard_1: shard.enrollments (1)" in refused.in_the_way[0]
    assert free.in_the_way == ()
    assert free.offsets
    with sql(few, "shard_1") as cursor:
        cursor.execute("DELETE FROM enrollments WHERE classroom_id = %s", (_classroom(few, 9),))
    moved = few.move_all("merge", "shard_2", "shard_1")
    assert [+Counter(each.result().move.rows) for each in moved] == [Counter(refused.rows), Counter(free.rows)]
    assert moved[1].result().move.offsets == free.offsets


def test_a_preview_names_each_row_that_the_target_would_refuse(few: World) -> None:
    with sql(few, "shard_1") as cursor:
        cursor.execute("UPDATE enrollments SET pathway = 'one ' || id")
        cursor.execute("CREATE UNIQUE INDEX one_each ON enrollments (pathway)")
    with sql(few, "shard_2") as cursor:
        cursor.execute("UPDATE enrollments SET pathway = 'two ' || id")
    assert [each.in_the_way for each in few.preview_all("merge", "shard_2", "shard_1", only=(9,))] == [()]
    [[taken]] = _rows(few, "shard_1", "SELECT max(pathway) FROM enrollments")
    with sql(few, "shard_2") as cursor:
        query = (
            "UPDATE enrollments SET pathway = %s WHERE id = (SELECT max(id) FROM enrollments WHERE classroom_id = %s)"
        )
        cursor.execute(query, (taken, _classroom(few, 9)))

    [refused] = few.preview_all("merge", "shard_2", "shard_1", only=(9,))
    assert "shard.enrollments: the unique index one_each is taken" in refused.in_the_way[0]


def test_a_preview_says_of_a_half_moved_school_that_it_would_be_ended(
    few: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "end", _broken)
    with pytest.raises(CutoverError, match="cut off here"):
        few.move_all("merge", "shard_2", "shard_1", only=(9,))

    [same] = few.preview_all("merge", "shard_2", "shard_1", only=(9,))
    assert (same.left and same.left.tenant_id, same.in_the_way) == (9, ())
    with pytest.raises(Problems, match="did not come from shard_3"):
        few.preview_all("split", "shard_1", "shard_3", only=(9,))


def test_nothing_is_moved_without_a_fence(few: World) -> None:
    before = oracle.snapshot(few.dsns)
    bare = replace(few, environment=replace(few.environment, fence=None))

    with pytest.raises(RefusedError, match="nothing keeps the application off them"):
        bare.move_all("merge", "shard_2", "shard_1")

    same_rows(before, oracle.snapshot(few.dsns))


def test_a_school_with_rows_in_the_target_stays_where_it_is(few: World) -> None:
    with sql(few, "shard_1") as cursor:
        cursor.execute(
            "INSERT INTO enrollments (classroom_id, created_at, updated_at) VALUES (%s, now(), now())",
            (_classroom(few, 9),),
        )
    before = oracle.snapshot(few.dsns)

    with pytest.raises(RefusedError, match=r"rows of it are already on shard_1: shard\.enrollments \(1\)"):
        few.move_all("merge", "shard_2", "shard_1")

    same_rows(before, oracle.snapshot(few.dsns))


def test_a_write_past_the_fence_stops_the_move(few: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*words: object) -> object:
        with sql(few, "shard_2") as cursor:
            cursor.execute("UPDATE enrollments SET pathway = 'late' WHERE classroom_id = %s", (_classroom(few, 9),))
        return swap(*words)  # type: ignore[arg-type]

    swap = move._swap
    monkeypatch.setattr(move, "_swap", busy)
    with pytest.raises(RefusedError, match=r"they changed since they were read: shard\.enrollments"):
        few.move_all("merge", "shard_2", "shard_1")

    assert _rows(few, "master", "SELECT count(*) FROM archiver.archives WHERE kind = 'move'") == [(0,)]
    assert _rows(few, "master", "SELECT shard FROM schools WHERE id = 9") == [("shard_2",)]


def test_a_row_added_after_verification_stays_and_is_named(
    few: World, closed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(*words: Any) -> None:
        switch(*words)
        assert [path.name for path in closed.iterdir()] == ["9"]
        _write(few, "shard_2")

    switch = settle.switch
    monkeypatch.setattr(move, "switch", late)
    with pytest.raises(RefusedError, match=r"its rows there are not those that were moved: .*shard\.enrollments \("):
        few.move_all("merge", "shard_2", "shard_1")

    assert _rows(few, "shard_2", "SELECT count(*) FROM enrollments WHERE pathway = 'since the merge'") == [(1,)]
    assert _rows(few, "master", "SELECT shard FROM schools WHERE id = 9") == [("shard_1",)]
    assert list(closed.iterdir()) == []


def test_a_half_moved_school_is_neither_archived_nor_restored(few: World, monkeypatch: pytest.MonkeyPatch) -> None:
    few.archive(9, depth="students", year=2012)
    monkeypatch.setattr(move, "end", _broken)
    with pytest.raises(CutoverError, match="cut off here"):
        few.move_all("merge", "shard_2", "shard_1")

    with pytest.raises(RefusedError, match="School 9 is half moved from shard_2 to shard_1"):
        few.archive(9)
    with pytest.raises(RefusedError, match="School 9 is half moved"):
        few.archive_together(5, 9)
    with pytest.raises(RefusedError, match="School 9 is half moved"):
        few.restore(9)


def _broken(*words: object) -> None:
    raise CutoverError("cut off here")


def test_shards_are_shown_with_their_schools(same_ids: World) -> None:
    same_ids.move_all("merge", "shard_2", "shard_1")
    with same_ids.archiver() as archiver:
        found = {one.name: one for one in shard_sizes(archiver.databases)}

    assert [(name, one.tenants, one.merged_into) for name, one in found.items()] == [
        ("shard_1", 8, None),
        ("shard_2", 0, "shard_1"),
        ("shard_3", 4, None),
        ("shard_4", 4, None),
    ]
    assert all(one.rows and one.bytes for one in found.values())


def _own_tables(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of the archiver's own tables in master that a move writes."""
    tables = ("aliases", "regions", "archives", "log")
    return {table: _rows(world, "master", f"SELECT t::text FROM archiver.{table} t ORDER BY 1") for table in tables}


def _classroom(world: World, school: int) -> int:
    return int(_rows(world, "master", f"SELECT min(id) FROM classrooms WHERE school_id = {school}")[0][0])


def _write(world: World, shard: str) -> list[tuple[int, int]]:
    """Write the next rows of a student of a merged school, and return their ids."""
    with sql(world, shard) as cursor:
        cursor.execute(
            "WITH e AS (INSERT INTO enrollments (classroom_id, pathway, created_at, updated_at)"
            "           VALUES (%s, 'since the merge', now(), now()) RETURNING id)"
            " INSERT INTO lesson_enrollments (enrollment_id, created_at, updated_at) SELECT id, now(), now() FROM e"
            " RETURNING enrollment_id, id",
            (_classroom(world, 9),),
        )
        return cursor.fetchall()


def _ids(world: World, shard: str, table: str) -> list[int]:
    return [row[0] for row in _rows(world, shard, f"SELECT id FROM {table}")]


def _rows(world: World, database: str, query: str) -> list[tuple[Any, ...]]:
    with sql(world, database) as cursor:
        cursor.execute(query)
        return cursor.fetchall()
