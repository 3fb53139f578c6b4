"""Moves of which master, the source or the target was set back afterwards: no copy that may be the only one goes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from archiver.reshard import move
from errors import RefusedError
from inventory.model import Fence
from rehearsal.postgres_server import Cluster
from rehearsal.seed_plan import SCHOOL
from tests.cases.attack_servers import moved, younger
from tests.cases.attack_world import DATABASES, HERE, classrooms, count, dies, given, rows, run, until_it_dies
from tests.killed import before_master_commits
from tests.worlds import NewWorld, World

THERE = "shard_1"
OTHER = 61
FORGET = "ALTER TABLE archiver.log DISABLE TRIGGER USER; DELETE FROM archiver.log;"


@pytest.fixture(scope="module")
def other(cluster: Cluster) -> Iterator[Cluster]:
    """A second server."""
    with younger(cluster) as other:
        yield other


@pytest.fixture
def world(new_world: NewWorld, tmp_path: Path) -> Iterator[World]:
    """Two shards; one school is on the one that is merged into the other."""
    with new_world((*DATABASES, THERE)) as bare:
        run(bare, "master", f"UPDATE schools SET shard = '{THERE}' WHERE id <> {SCHOOL}")
        fence = Fence(close=f"touch {tmp_path}/{{id}}", open=f"rm -f {tmp_path}/{{id}}")
        yield replace(bare, environment=replace(bare.environment, fence=fence))


def enrollments(world: World, shard: str) -> int:
    """Return the number of the school's enrollments on a shard."""
    return count(world, shard, f"enrollments WHERE classroom_id IN ({classrooms(world)})")


def locations(world: World) -> list[str]:
    """Return the archives of moves that master names."""
    return [row[0] for row in rows(world, "master", "SELECT location FROM archiver.archives WHERE kind = 'move'")]


def killed_before_the_end(world: World, monkeypatch: pytest.MonkeyPatch, at: str = "end") -> None:
    """Merge until this function of the move is called."""
    with monkeypatch.context() as patch, until_it_dies():
        patch.setattr(move, at, dies)
        world.move_all("merge", HERE, THERE)


def test_a_withdrawn_move_of_a_school_without_rows_there_leaves_no_marker(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = 990
    run(
        world,
        "master",
        f"INSERT INTO schools SELECT (jsonb_populate_record(s, jsonb_build_object('id', {empty}))).* FROM schools s"
        f" WHERE id = {SCHOOL};"
        f"UPDATE schools SET shard = '{THERE}' WHERE id = {SCHOOL}",
    )
    with before_master_commits(monkeypatch, dies, f"moving school {empty} in master"), until_it_dies():
        world.move_all("merge", HERE, THERE)
    given(count(world, THERE, "archiver.markers WHERE act = 'moved in'") == 1, "a marker of an empty school")

    world.move_all("merge", HERE, THERE)

    assert count(world, THERE, "archiver.markers WHERE act = 'moved in'") == 1  # of the move that was made then
    world.move_all("split", THERE, HERE)  # any run asks for markers that nothing closes


def forget(world: World, statements: str) -> None:
    """Set master back behind the switch of the move."""
    run(world, "master", f"UPDATE schools SET shard = '{HERE}' WHERE id = {SCHOOL}; {statements}")


@pytest.mark.parametrize("again", [False, True], ids=["the copy only", "rows of the product in the source"])
def test_a_move_whose_switch_master_lost_is_ended_or_refused(
    world: World, monkeypatch: pytest.MonkeyPatch, again: bool
) -> None:
    whole = enrollments(world, HERE)
    room = classrooms(world).split(",")[0]
    killed_before_the_end(world, monkeypatch)
    forget(world, "UPDATE archiver.archives SET state = 'loading', switched_at = NULL, turn = NULL WHERE kind = 'move'")
    if not again:
        world.move_all("merge", HERE, THERE)
        assert (enrollments(world, HERE), enrollments(world, THERE)) == (0, whole)
        return
    columns = "classroom_id, student_id, status, created_at, updated_at"
    run(world, HERE, f"INSERT INTO enrollments ({columns}) VALUES ({room}, 1, 'active', now(), now())")

    with pytest.raises(RefusedError, match=f"neither holds its rows as they were read.*{locations(world)[0]} holds"):
        world.move_all("merge", HERE, THERE)

    assert enrollments(world, THERE) == whole


def test_a_move_that_master_has_only_planned_is_refused_and_the_archive_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = enrollments(world, HERE)
    killed_before_the_end(world, monkeypatch)
    forget(
        world,
        "UPDATE archiver.archives SET state = 'planned', switched_at = NULL, turn = NULL, members = '{}'"
        " WHERE kind = 'move'",
    )
    [location] = locations(world)

    with pytest.raises(RefusedError, match=f"shows a move of .*{location} holds the rows"):
        world.move_all("merge", HERE, THERE)
    with pytest.raises(RefusedError, match=f"shows a move of .*{location} holds the rows"):
        world.archive(SCHOOL)

    assert (locations(world), enrollments(world, THERE)) == ([location], whole)


def test_everything_on_both_shards_is_refused_while_master_has_no_record_of_a_move(world: World) -> None:
    world.move_all("merge", HERE, THERE)
    [location] = locations(world)
    forget(world, "DELETE FROM archiver.archives WHERE kind = 'move'; DELETE FROM archiver.aliases")

    for school in (SCHOOL, OTHER):
        with pytest.raises(RefusedError, match=f"shows a move of .* {location} holds the rows"):
            world.archive(school)


def test_a_target_that_was_set_back_behind_a_move_is_refused_and_the_archive_named(
    world: World, other: Cluster
) -> None:
    now = moved(world, THERE, other)
    world.move_all("merge", HERE, THERE)
    assert (enrollments(now, HERE), enrollments(now, THERE)) == (0, 0)

    with pytest.raises(RefusedError, match=f"{THERE} holds no row of school {SCHOOL}, .*{locations(now)[0]} holds"):
        now.archive(SCHOOL)


def test_a_source_that_was_set_back_behind_a_move_is_refused_while_its_rows_are_there_twice(
    world: World, other: Cluster
) -> None:
    now = moved(world, HERE, other)
    world.move_all("merge", HERE, THERE)
    assert enrollments(now, HERE) == enrollments(now, THERE) > 0

    with pytest.raises(RefusedError, match=f"{HERE} holds rows of school {SCHOOL} again, which was moved to {THERE}"):
        now.archive(SCHOOL)


def test_a_source_that_still_holds_the_rows_stays_while_the_target_was_set_back(
    world: World, other: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both shards are set back behind the move; master is not."""
    whole = enrollments(world, HERE)
    now = moved(moved(world, THERE, other), HERE, other)
    killed_before_the_end(world, monkeypatch)

    with pytest.raises(RefusedError, match="was set back"):
        now.move_all("merge", HERE, THERE)

    assert enrollments(now, HERE) == whole


def test_an_archive_follows_a_later_merge_though_the_clock_was_set_back_between_them(world: World) -> None:
    """The times are written as a clock set back would have: the archive seems to have begun after the merge."""
    whole = enrollments(world, HERE)
    rooms = classrooms(world)
    world.archive(SCHOOL)
    world.move_all("merge", HERE, THERE)
    run(world, "master", "UPDATE archiver.aliases SET since = since - interval '1 day'")

    world.restore(SCHOOL)

    assert count(world, THERE, f"enrollments WHERE classroom_id IN ({rooms})") == whole


def test_a_school_follows_its_move_though_its_archive_seems_to_be_younger(world: World) -> None:
    world.archive(SCHOOL, year=2012, depth="students")
    world.move_all("merge", HERE, THERE)
    run(
        world, "master", "UPDATE archiver.archives SET switched_at = switched_at - interval '1 day' WHERE kind = 'move'"
    )
    run(world, "master", "UPDATE archiver.aliases SET since = since - interval '1 day'")

    world.restore(SCHOOL, year=2012)

    assert (enrollments(world, HERE), enrollments(world, THERE) > 0) == (0, True)
