"""Before each COMMIT that deletes rows, their object is looked at: it must be in the store as it was put."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from archiver.delete import many, row_locks, table_locks
from archiver.postgres.session import Session
from archiver.reshard import move
from archiver.runs import pipeline
from archiver.store import standing
from archiver.store.bucket import Bucket, StoredDigests, _client, file_digests
from archiver.store.standing import MissingObjectError, missing_objects, prove_stored
from inventory.model import Store
from rehearsal.seed_plan import SCHOOL
from runbooks.cli import call
from tests import oracle
from tests.cases.attack_world import (
    DATABASES,
    FEW,
    HERE,
    before,
    count,
    dies,
    given,
    quietly,
    rows,
    run,
    together,
    until_it_dies,
)
from tests.inside import inv_inside
from tests.integration.test_purge import old
from tests.killed import before_master_commits
from tests.legacy_users import purged
from tests.months import Meanwhile, archive_months
from tests.torture.moves import alone
from tests.worlds import NIGHT, NewWorld, World, school_ids

RECORD = f"SELECT location FROM archiver.archives WHERE kind = 'tenant' AND key = '{SCHOOL}'"
KEY = "2013/13/20140815T221500-1f3a/2013_school_13.tar.gz"
GONE, SWAPPED = "is no longer in the store", "is not the object that was stored"


@dataclass(frozen=True, kw_only=True)
class Put:
    """A record of an object."""

    location: str
    size: int
    sha256: str
    etag: str | None
    version_id: str | None


def put(bucket: Bucket, path: Path, content: bytes, key: str = KEY) -> Put:
    path.write_bytes(content)
    stored: StoredDigests = bucket.put(key, path, file_digests(path))
    return Put(
        location=bucket.location(key),
        size=stored.size,
        sha256=stored.sha256,
        etag=stored.etag,
        version_id=stored.version_id,
    )


@pytest.fixture
def bucket(store_server: Store, tmp_path: Path) -> Bucket:
    """A bucket of the test's own."""
    return Bucket(replace(store_server, prefix=tmp_path.name))


@pytest.mark.parametrize("few", [standing.FEW, 0], ids=["one by one", "by pages"])
@pytest.mark.parametrize("etag", [True, False], ids=["with its ETag", "of an older version"])
def test_an_object_that_is_gone_or_another_is_missing(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, few: int, etag: bool
) -> None:
    monkeypatch.setattr(standing, "FEW", few)
    keys = {name: f"2013/{number}/x/2013_school_{number}.tar.gz" for number, name in enumerate(("same", "gone", "new"))}
    archives = {name: put(bucket, tmp_path / "a", name.encode() * 9, key) for name, key in keys.items()}
    for name in ("gone", "new"):
        bucket.delete(keys[name])
    put(bucket, tmp_path / "a", b"x" * archives["new"].size, keys["new"])
    if not etag:
        archives = {name: replace(archive, etag=None) for name, archive in archives.items()}

    missing = missing_objects(bucket, list(archives.values()))

    sentences = {location: str(error) for location, error in missing.items()}
    assert list(sentences) == [archives["gone"].location, archives["new"].location]
    assert GONE in sentences[archives["gone"].location]
    assert SWAPPED in sentences[archives["new"].location]


def test_an_object_that_was_put_back_is_not_missing(bucket: Bucket, tmp_path: Path) -> None:
    archive = replace(put(bucket, tmp_path / "a", b"rows"), etag="another", version_id="earlier")

    prove_stored(bucket, archive)


def test_an_object_below_a_delete_marker_is_missing(store_server: Store, tmp_path: Path) -> None:
    store = replace(store_server, bucket="versions-below", prefix="p")
    client = _client(store.endpoint, store.region, store.credentials)
    client.create_bucket(Bucket=store.bucket)
    client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    bucket = Bucket(store)
    archive = put(bucket, tmp_path / "a", b"rows")
    prove_stored(bucket, archive)

    bucket.delete(KEY)

    assert archive.version_id
    with pytest.raises(MissingObjectError, match=GONE):
        prove_stored(bucket, archive)


def vanish(world: World, query: str = RECORD) -> None:
    """Remove the objects that records name, as a rule of the bucket does."""
    bucket = Bucket(world.environment.store)
    locations = [row[0] for row in rows(world, "master", query)]
    given(locations, "an object")
    for location in locations:
        bucket.delete(bucket.key(location))


def state(world: World) -> str:
    """The state of the school's record."""
    [[state]] = rows(world, "master", f"SELECT state FROM archiver.archives WHERE kind = 'tenant' AND key = '{SCHOOL}'")
    return str(state)


WAYS: dict[str, tuple[ModuleType, str, Callable[[World], object]]] = {
    "alone": (row_locks, "delete", lambda world: quietly(lambda: world.archive(SCHOOL))),
    "in a set": (many, "_markers", lambda world: together(world, *FEW)),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_object_that_goes_while_rows_are_deleted_stops_the_commit(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    where, name, archive = WAYS[way]
    with new_world(DATABASES) as world:
        live = oracle.snapshot(world.dsns)
        with monkeypatch.context() as patch:
            before(patch, where, name, lambda: vanish(world))
            archive(world)
        assert oracle.snapshot(world.dsns) == live

        world.archive_together(*FEW)

        assert not set(FEW) & set(school_ids(world))


def test_a_school_whose_object_went_is_extracting_again(new_world: NewWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    with new_world(DATABASES) as world:
        for way in (world.archive, world.archive_together):
            with monkeypatch.context() as patch:
                before(patch, row_locks, "select", lambda: vanish(world))
                before(patch, table_locks, "prove_shape", lambda: vanish(world))
                with pytest.raises(MissingObjectError, match=f"2013_school_13.tar.gz {GONE}"):
                    way(SCHOOL)
            assert state(world) == "extracting"
            run(world, "master", "DELETE FROM archiver.archives WHERE kind = 'tenant'")


def test_a_deletion_cut_off_between_shard_and_master_ends_when_its_object_is_back(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with new_world(DATABASES) as world:
        with before_master_commits(monkeypatch, dies), until_it_dies():
            world.archive(SCHOOL)
        bucket, path = Bucket(world.environment.store), tmp_path / "object"
        [[location]] = rows(world, "master", RECORD)
        bucket.get(bucket.key(location), path)
        vanish(world)

        with pytest.raises(MissingObjectError, match="whose rows are only in that object"):
            world.archive(SCHOOL)
        assert SCHOOL in school_ids(world)
        assert state(world) == "deleting"

        bucket.put(bucket.key(location), path, file_digests(path))
        world.archive(SCHOOL)
        assert SCHOOL not in school_ids(world)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_record_of_an_older_version_is_proved_by_its_content(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, swapped: bool
) -> None:
    with new_world(DATABASES) as world:
        with monkeypatch.context() as patch, until_it_dies():
            before(patch, many, "empty_shard", dies)
            world.archive_together(*FEW)
        run(world, "master", "UPDATE archiver.archives SET etag = NULL, version_id = NULL WHERE kind = 'tenant'")
        if swapped:
            bucket, path = Bucket(world.environment.store), tmp_path / "object"
            [[location, size]] = rows(world, "master", RECORD.replace("location", "location, size"))
            vanish(world)
            path.write_bytes(bytes(size))
            bucket.put(bucket.key(location), path, file_digests(path))

        said = together(world, *FEW)

        assert (SCHOOL in school_ids(world)) is swapped
        assert [SWAPPED in sentence for sentence in said.values()] == [True] * swapped


def test_a_purge_whose_object_vanished_deletes_no_row(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    live, ids = oracle.snapshot(world.dsns), old(world)
    before(
        monkeypatch,
        pipeline,
        "delete",
        lambda: vanish(world, "SELECT location FROM archiver.archives WHERE kind = 'purge'"),
    )

    with world.archiver() as archiver, pytest.raises(MissingObjectError, match=GONE):
        purged(archiver)

    assert oracle.snapshot(world.dsns) == live
    assert old(world) == ids != []


def test_later_batches_of_a_month_stay_live_when_its_object_goes(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        run(world, "master", f"UPDATE schools SET shard = 'shard_1' WHERE shard = '{HERE}' AND id <> {SCHOOL}")
        attempts = count(world, HERE, "attempts")
        after_first: list[int] = []

        def act() -> None:
            after_first.append(count(world, HERE, "attempts"))
            vanish(world, "SELECT location FROM archiver.archives WHERE kind = 'month'")

        throttle = Meanwhile(act=act, batch=5, waits=-1)  # the third wait is before the second batch
        with pytest.raises(MissingObjectError, match=GONE):
            archive_months(world, date(2014, 3, 5), throttle=throttle)

        assert attempts > after_first[0] == count(world, HERE, "attempts")


MOVE = "SELECT location FROM archiver.archives WHERE kind = 'move'"


@pytest.fixture
def shards(new_world: NewWorld, alike: str) -> Iterator[World]:
    """A world in which the school is alone on its shard."""
    with alone(new_world, alike) as world:
        yield world


def test_a_move_whose_object_went_leaves_the_school_where_it_was(
    shards: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = oracle.snapshot(shards.dsns)
    before(monkeypatch, move, "switch", lambda: vanish(shards, MOVE))

    with pytest.raises(MissingObjectError, match=GONE):
        shards.move_all("merge", "shard_3", "shard_1")

    assert oracle.snapshot(shards.dsns).tables == live.tables


def test_the_source_of_a_move_retains_its_rows_while_their_object_is_gone(
    shards: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    commit = Session.commit

    def dying(session: Session, *, doing: str) -> None:
        if "out of" in doing:
            dies()
        commit(session, doing=doing)

    with monkeypatch.context() as patch, until_it_dies():
        patch.setattr(Session, "commit", dying)
        shards.move_all("merge", "shard_3", "shard_1")
    bucket, path, attempts = Bucket(shards.environment.store), tmp_path / "object", count(shards, "shard_3", "attempts")
    [[location]] = rows(shards, "master", MOVE)
    bucket.get(bucket.key(location), path)
    vanish(shards, MOVE)

    with pytest.raises(MissingObjectError, match=GONE):
        shards.move_all("merge", "shard_3", "shard_1")
    assert count(shards, "shard_3", "attempts") == attempts > 0

    bucket.put(bucket.key(location), path, file_digests(path))
    shards.move_all("merge", "shard_3", "shard_1")
    assert count(shards, "shard_3", "attempts") < attempts


@pytest.mark.parametrize("swapped", [False, True], ids=["gone", "swapped"])
def test_the_audit_names_archives_that_are_missing(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, swapped: bool
) -> None:
    with world.by_one_worker() as worker:
        worker.archive(SCHOOL, 17)
    monkeypatch.setattr(call, "load_environment", lambda *_, **__: world.environment)
    vanish(world)
    if swapped:
        bucket, path = Bucket(world.environment.store), tmp_path / "object"
        [[location, size]] = rows(world, "master", RECORD.replace("location", "location, size"))
        path.write_bytes(bytes(size))
        bucket.put(bucket.key(location), path, file_digests(path))

    said = inv_inside(capsys, "archive.audit", f"--date={NIGHT}")
    read = inv_inside(capsys, "archive.audit", f"--date={NIGHT}", "--json")

    assert (said.code, "not in the store as they were stored: archives of 13\n" in said.out) == (10, True)
    assert (read.code, json.loads(read.out)["missing"]) == (0, [SCHOOL])
