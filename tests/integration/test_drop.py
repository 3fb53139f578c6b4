"""Dropping an archive leaves no version of its object, and names what else is in the store of the school."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from archiver.store.bucket import Bucket, StorageError, _client, file_digests
from inventory.model import Store
from tests.worlds import YEAR, World

KEY = "2013/13/20140815T221500-1f3a/2013_school_13.tar.gz"


@contextmanager
def versions(world: World, status: str) -> Iterator[tuple[World, Any]]:
    """The same world with a bucket of that status of versioning, and a client of it."""
    store = replace(world.environment.store, bucket=f"drops-{status.lower()}")
    client = _client(store.endpoint, store.region, store.credentials)
    client.create_bucket(Bucket=store.bucket)
    client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": "Enabled"})
    yield replace(world, environment=replace(world.environment, store=store)), client


def test_objects_of_other_years_are_named_and_those_of_other_schools_are_not(world: World, tmp_path: Path) -> None:
    bucket, path = Bucket(world.environment.store), tmp_path / "object"
    path.write_bytes(b"rows")
    keys = [KEY.replace("2013/13", folder) for folder in ("2011/13", "2012/13", "2012/1", "2012/130", "purges/2012/13")]
    for key in keys:
        bucket.put(key, path, file_digests(path))
    with world.by_one_worker() as worker:
        worker.archive(13, year=2012)
        worker.restore(13)
        worker.archive(13)

        result = worker.drop(13)

    named = [stored.location for stored in result.unreferenced]
    assert named[0] == bucket.location(keys[0])
    assert bucket.location(keys[1]) in named
    assert len(named) == 3  # with the archive that was restored
    assert result.versions_stay == ""


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
def test_no_version_of_the_object_stays(world: World, status: str) -> None:
    with versions(world, status) as (versioned, client):
        versioned.archive(13)
        store = versioned.environment.store
        client.put_bucket_versioning(Bucket=store.bucket, VersioningConfiguration={"Status": status})

        result = versioned.drop(13)

        left = client.list_object_versions(Bucket=store.bucket, Prefix=f"{store.prefix}/{YEAR}/13/")
        assert left.get("Versions", []) == []
        assert result.versions_stay == ""


def test_a_store_that_does_not_say_whether_it_has_versions_is_reported(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(bucket: Bucket) -> bool:
        raise StorageError("Reading whether there are versions failed: AccessDenied.")

    world.archive(13)
    monkeypatch.setattr(Bucket, "versioned", denied)

    assert "AccessDenied" in world.drop(13).versions_stay


def test_no_object_of_another_key_is_deleted_with_the_versions(store_server: Store, tmp_path: Path) -> None:
    bucket, path = Bucket(replace(store_server, prefix="versions")), tmp_path / "object"
    path.write_bytes(b"rows")
    for key in (KEY, f"{KEY}.age"):
        bucket.put(key, path, file_digests(path))

    bucket.delete_versions(KEY)

    assert list(bucket.keys()) == [f"{KEY}.age"]
