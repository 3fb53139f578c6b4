"""The stored object, looked for again when the rows go: it may have gone in the hours or days since its proof."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from archiver.delete import many
from archiver.runs import archive as archiving
from archiver.store.bucket import Bucket, file_digests
from rehearsal.seed_plan import SCHOOL
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
from tests.months import Meanwhile, archive_months
from tests.worlds import NewWorld, World

RECORD = f"SELECT location, sha256 FROM archiver.archives WHERE kind = 'tenant' AND key = '{SCHOOL}'"
MONTH = "SELECT location, sha256 FROM archiver.archives WHERE kind = 'month'"
FATES = ("deleted", "replaced")


def harm(world: World, fate: str, query: str, folder: Path) -> None:
    """Remove the object that a record names from the store, and perhaps put another one of its size there."""
    bucket = Bucket(world.environment.store)
    [[location, sha256]] = rows(world, "master", query)
    key, path = bucket.key(location), folder / "object"
    given(bucket.get(key, path).sha256 == sha256, "a stored object")
    bucket.delete(key)
    if fate == "replaced":
        path.write_bytes(bytes(path.stat().st_size))
        bucket.put(key, path, file_digests(path))


def stands(world: World, query: str) -> bool:
    """True if a record names an object whose content matches the record."""
    bucket = Bucket(world.environment.store)
    for location, sha256 in rows(world, "master", query):
        key = bucket.key(location)
        if list(bucket.objects(key)) and bucket.sha256(key) == sha256:
            return True
    return False


def assert_kept(world: World) -> None:
    """The school is live, or in an object that its record names."""
    assert count(world, "master", f"schools WHERE id = {SCHOOL}") or stands(world, RECORD)


WAYS: dict[str, tuple[ModuleType, str, Callable[[World], object]]] = {
    "alone": (archiving, "delete_tenant", lambda world: quietly(lambda: world.archive(SCHOOL))),
    "in a set": (many, "empty_shard", lambda world: together(world, *FEW)),
    "in a set, master's half": (many, "empty_master", lambda world: together(world, *FEW)),
}


@pytest.mark.parametrize("fate", FATES)
@pytest.mark.parametrize("way", WAYS)
def test_a_school_whose_object_vanishes_after_verification_stays_live(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str, fate: str
) -> None:
    with new_world(DATABASES) as world:
        where, name, archive = WAYS[way]
        before(monkeypatch, where, name, lambda: harm(world, fate, RECORD, tmp_path))
        archive(world)
        assert_kept(world)


@pytest.mark.parametrize("fate", FATES)
def test_a_school_whose_object_vanished_between_two_runs_stays_live(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, fate: str
) -> None:
    with new_world(DATABASES) as world:
        with monkeypatch.context() as patch, until_it_dies():
            before(patch, many, "empty_shard", dies)
            world.archive_together(*FEW)
        harm(world, fate, RECORD, tmp_path)
        together(world, *FEW)
        assert_kept(world)


@pytest.mark.parametrize("fate", FATES)
def test_rows_of_past_months_whose_object_vanishes_after_verification_stay_live(
    new_world: NewWorld, tmp_path: Path, fate: str
) -> None:
    with new_world(DATABASES) as world:
        run(world, "master", f"UPDATE schools SET shard = 'shard_1' WHERE shard = '{HERE}' AND id <> {SCHOOL}")
        attempts = count(world, HERE, "attempts")
        meanwhile = Meanwhile(act=lambda: harm(world, fate, MONTH, tmp_path))
        quietly(lambda: archive_months(world, date(2014, 3, 5), throttle=meanwhile))
        given(meanwhile.waits > 1, "a proof")
        assert count(world, HERE, "attempts") == attempts or stands(world, MONTH)
