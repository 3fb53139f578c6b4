"""One classroom comes back with its rows out of the school's months, then the rest; judged by plain SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pyrage import x25519

from archiver.postgres.session import Session
from archiver.records.holds import release
from archiver.store.bucket import Bucket
from errors import CutoverError
from tests import oracle
from tests.integration.test_lost_months import key_of, recorded
from tests.integration.test_partial import SCHOOL, SHARD, Room, classrooms
from tests.months import archive_months, restore_months
from tests.worlds import NewWorld, World, same

EARLIER, LATER = date(2013, 12, 5), date(2014, 9, 5)
MONTHS = ("2014-07", "2013-10")


@pytest.fixture
def world(new_world: NewWorld) -> Iterator[World]:
    with new_world(("master", SHARD)) as world, world.by_one_worker() as busy:
        yield busy


def away(world: World) -> None:
    """Archive the school after two runs of its months."""
    for day in (EARLIER, LATER):
        archive_months(world, day)
    world.archive(SCHOOL)


def back(world: World) -> None:
    """Restore the school, and the months of the others."""
    world.restore(SCHOOL)
    for month in MONTHS:
        restore_months(world, month)


def test_classrooms_come_back_with_their_months_one_after_the_other_and_then_the_rest(world: World) -> None:
    before, [first, second, *_] = oracle.snapshot(world.dsns), classrooms(world)
    away(world)
    archived = oracle.snapshot(world.dsns)
    pretended = world.restore(SCHOOL, only=first.part, pretend=True)[0].result()
    same(archived, oracle.snapshot(world.dsns))
    restored = world.restore(SCHOOL, only=first.part)[0].result()
    loaded = {name: each.inserted + each.there for name, each in restored.items() if each.inserted + each.there}
    assert loaded == {name: each.inserted for name, each in pretended.items() if each.inserted}
    one = oracle.together(archived, first.rows)
    same(one, oracle.snapshot(world.dsns))
    archive_months(world, LATER)  # the next monthly run leaves what is back
    same(one, oracle.snapshot(world.dsns))
    world.restore(SCHOOL, only=second.part)
    same(oracle.together(one, second.rows), oracle.snapshot(world.dsns))
    world.restore(SCHOOL, only=first.part)  # again: nothing comes twice
    same(oracle.together(one, second.rows), oracle.snapshot(world.dsns))

    back(world)
    same(before, oracle.snapshot(world.dsns))
    away_again(world)
    back(world)
    same(before, oracle.snapshot(world.dsns))


def away_again(world: World) -> None:
    """The second night."""
    assert world.worker
    release(world.worker.databases.master)
    away(world)


def test_a_classroom_comes_back_out_of_encrypted_months(new_world: NewWorld, tmp_path: Path) -> None:
    with new_world(("master", SHARD)) as plain:
        identity = x25519.Identity.generate()
        (tmp_path / "identity").write_text(str(identity))
        store = replace(plain.environment.store, recipients=(str(identity.to_public()),))
        environment = replace(plain.environment, store=store)
        world = replace(plain, environment=environment, identity=str(tmp_path / "identity"))
        before, [first, *_] = oracle.snapshot(world.dsns), classrooms(world)
        away(world)
        archived = oracle.snapshot(world.dsns)
        world.restore(SCHOOL, only=first.part)
        same(oracle.together(archived, first.rows), oracle.snapshot(world.dsns))
        back(world)
        same(before, oracle.snapshot(world.dsns))


def test_a_classroom_comes_back_without_a_lost_month(world: World, tmp_path: Path) -> None:
    first, *_ = classrooms(world)
    away(world)
    archived, bucket = oracle.snapshot(world.dsns), Bucket(world.environment.store)
    bucket.delete(key_of(world, bucket, "2013-10"))
    with pytest.raises(CutoverError, match="no such object"):
        world.restore(SCHOOL, only=first.part)
    same(archived, oracle.snapshot(world.dsns))
    world.restore(SCHOOL, only=first.part, without=["2013-10"])
    assert oracle.snapshot(world.dsns) != archived
    assert sorted(recorded(world)) == sorted(MONTHS)


class Died(BaseException):
    """The process is gone: no handler of errors runs."""


def dying(patch: pytest.MonkeyPatch, number: int, *, after: bool) -> Callable[[], int]:
    """Let the process die before or after a COMMIT of the product's databases; return a counter of commits."""
    commit, commits = Session.commit, [0]

    def dies(session: Session, *, doing: str) -> None:
        commits[0] += 1
        if commits[0] == number and not after:
            raise Died
        commit(session, doing=doing)
        if commits[0] == number:
            raise Died

    patch.setattr(Session, "commit", dies)
    return lambda: commits[0]


def test_a_classroom_killed_at_each_commit_on_its_way_back_with_its_months_loses_no_row(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, [first, second, *_] = oracle.snapshot(world.dsns), classrooms(world)
    away(world)
    archived = oracle.snapshot(world.dsns)
    for part, number, after in ((first, 1, False), (first, 1, True), (second, 2, False), (second, 2, True)):
        with monkeypatch.context() as patch, pytest.raises(Died):
            dying(patch, number, after=after)
            world.restore(SCHOOL, only=part.part)
        expected = expected_after(archived, [first] if part is first else [first, second])
        with monkeypatch.context() as patch:
            commits = dying(patch, 0, after=False)
            world.restore(SCHOOL, only=part.part)
        assert commits() == 2  # the shard's and master's: there are no others
        same(expected, oracle.snapshot(world.dsns))
    back(world)
    same(before, oracle.snapshot(world.dsns))


def expected_after(archived: oracle.Snapshot, rooms: list[Room]) -> oracle.Snapshot:
    for room in rooms:
        archived = oracle.together(archived, room.rows)
    return archived
