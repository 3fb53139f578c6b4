"""An archive whose object is gone, or has grown: every task says so in one sentence, and nothing is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from archiver.postgres.session import Session
from archiver.store.bucket import Bucket, StorageError, file_digests
from archiver.store.standing import MissingObjectError
from errors import ExitCode
from rehearsal.seed_plan import SCHOOL
from runbooks.cli import call
from tests import oracle
from tests.cases.attack_world import DATABASES, dies, given, rows, until_it_dies
from tests.inside import inv_inside
from tests.legacy_users import purged
from tests.months import archive_months
from tests.worlds import NewWorld, World, same, school_ids

DAY = date(2014, 3, 5)  # when the activity of January is due
LEDGER = "SELECT tablename FROM pg_tables WHERE schemaname = 'archiver' AND tablename <> 'log'"
NO_OBJECT = "there is no such object"
SAID = {"gone": (NO_OBJECT, ExitCode.FAILED), "grown": ("it is larger than what was stored", ExitCode.USAGE)}


@dataclass(frozen=True)
class Spoiled:
    """A world whose stored archives were all spoiled, and what each task then says of one."""

    world: World
    sentence: str
    code: ExitCode  # of a task for one archive


def every_location(world: World) -> list[str]:
    """The objects of all records."""
    query = "SELECT DISTINCT location FROM archiver.archives WHERE kind <> 'move'"
    return [row[0] for row in rows(world, "master", query)]


def ledger(world: World) -> dict[str, list[str]]:
    """Everything that is recorded, but for the log."""
    query = "SELECT to_jsonb(t)::text FROM archiver.{} t ORDER BY 1"
    return {
        f"{database}.{table}": [row[0] for row in rows(world, database, query.format(table))]
        for database in DATABASES
        for (table,) in rows(world, database, LEDGER)
    }


def grow(bucket: Bucket, location: str, path: Path) -> None:
    """Replace an object by one of the same beginning that is longer."""
    key = bucket.key(location)
    bucket.get(key, path)
    with path.open("ab") as file:
        file.write(bytes(1 << 20))
    bucket.delete(key)
    bucket.put(key, path, file_digests(path))


@pytest.fixture(scope="module", params=["gone", "grown"])
def spoiled(
    new_world: NewWorld, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Spoiled]:
    """A school, a month and a purge are archived; then a person spoils each object."""
    with new_world(DATABASES) as world, world.by_one_worker() as worker:
        archive_months(worker, DAY)
        worker.archive(SCHOOL)
        with worker.archiver() as archiver:
            purged(archiver)
        bucket, path = Bucket(world.environment.store), tmp_path_factory.mktemp("grown") / "object"
        for location in every_location(world):
            if request.param == "gone":
                bucket.delete(bucket.key(location))
            else:
                grow(bucket, location, path)
        yield Spoiled(world, *SAID[request.param])


TASKS = {
    "restore": ("restore.school", "13", "--here"),
    "restore, pretended": ("restore.school", "13", "--pretend", "--here"),
    "restore of a classroom": ("restore.school", "13", "--only-classroom=1", "--here"),
    "plan of a restore": ("restore.plan", "13", "--here"),
    "verify": ("archive.verify", "13", "--here"),
    "verify all": ("archive.verify", "--all", "--here"),
    "cat": ("archive.cat", "13", "students"),
    "query": ("archive.query", "13", "SELECT 1"),
    "purge": ("users.restore-legacy", "1", "--here"),
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_says_it_in_one_sentence_and_changes_nothing(
    spoiled: Spoiled, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    world = spoiled.world
    monkeypatch.setattr(call, "load_environment", lambda *_, **__: world.environment)
    live, recorded = oracle.snapshot(world.dsns), ledger(world)

    said = inv_inside(capsys, *TASKS[name])

    assert said.code == (10 if name == "verify all" else spoiled.code)
    assert spoiled.sentence in said.out + said.err
    assert "hint: " in said.out + said.err
    assert oracle.snapshot(world.dsns) == live
    assert ledger(world) == recorded


@contextmanager
def away(world: World, path: Path) -> Iterator[None]:
    """Keep the objects of all records out of the store for the block: nothing may change in the databases."""
    bucket, live, recorded = Bucket(world.environment.store), oracle.snapshot(world.dsns), ledger(world)
    kept = {bucket.key(location): path / str(number) for number, location in enumerate(every_location(world))}
    given(kept, "an object")
    for key, file in kept.items():
        bucket.get(key, file)
        bucket.delete(key)
    yield
    assert oracle.snapshot(world.dsns) == live
    assert ledger(world) == recorded
    for key, file in kept.items():
        bucket.put(key, file, file_digests(file))


def dying(patch: pytest.MonkeyPatch, where: str) -> None:
    """Let the process die just before a COMMIT whose description holds these words."""
    commit = Session.commit

    def commits(session: Session, *, doing: str) -> None:
        if where in doing:
            dies()
        commit(session, doing=doing)

    patch.setattr(Session, "commit", commits)


def test_a_month_comes_back_only_once_its_object_is_there(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with new_world(DATABASES) as world:
        monkeypatch.setattr(call, "load_environment", lambda *_, **__: world.environment)
        before = oracle.snapshot(world.dsns)
        archive_months(world, DAY)
        with away(world, tmp_path):
            for words in ((), ("--school=13",), ("--pretend",)):
                said = inv_inside(capsys, "activity.restore", "--month=2014-01", "--here", *words)
                assert (said.code, NO_OBJECT in said.out + said.err) == (ExitCode.FAILED, True)

        assert inv_inside(capsys, "activity.restore", "--month=2014-01", "--here").code == ExitCode.DONE

        same(before, oracle.snapshot(world.dsns))


@pytest.mark.parametrize("way", [World.archive, World.archive_together], ids=["alone", "in a set"])
def test_a_deletion_cut_off_half_way_waits_for_its_object(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: Callable[..., object]
) -> None:
    with new_world(DATABASES) as world:
        before = oracle.snapshot(world.dsns)
        with monkeypatch.context() as patch, until_it_dies():
            dying(patch, "in master")
            way(world, SCHOOL)
        with away(world, tmp_path), pytest.raises(MissingObjectError, match="is no longer in the store"):
            way(world, SCHOOL)

        way(world, SCHOOL)

        assert SCHOOL not in school_ids(world)
        world.restore(SCHOOL)
        same(before, oracle.snapshot(world.dsns))


def test_a_restore_cut_off_half_way_waits_for_its_object(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with new_world(DATABASES) as world:
        before = oracle.snapshot(world.dsns)
        world.archive(SCHOOL)
        with monkeypatch.context() as patch, until_it_dies():
            dying(patch, "in master")
            world.restore(SCHOOL)
        with away(world, tmp_path), pytest.raises(StorageError, match=NO_OBJECT):
            world.restore(SCHOOL)

        world.restore(SCHOOL)

        same(before, oracle.snapshot(world.dsns))
