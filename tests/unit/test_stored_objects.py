"""Objects looked at again before their rows are deleted: by name, by version, and by content where these differ."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

import pytest

from archiver.store.bucket import Bucket, Digests, StoredObject
from archiver.store.standing import FEW, MissingObjectError, missing_objects, prove_stored

FOLDER = "s3://archives/2013/"


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record of an object."""

    location: str = f"{FOLDER}13.tar.gz"
    size: int | None = 5
    sha256: str | None = "hash"
    etag: str | None = "tag"
    version_id: str | None = "1"


@dataclass
class MemoryBucket:
    """A store in memory."""

    stored: list[StoredObject]
    sha256: str = "hash"
    asked: list[str] = field(default_factory=list)

    def key(self, location: str) -> str:
        """Return the key of a location."""
        return location.removeprefix("s3://archives/")

    def object(self, key: str) -> StoredObject | None:
        """Return an object, looked at alone."""
        self.asked.append(key)
        return next((each for each in self.stored if self.key(each.location) == key), None)

    def objects(self, folder: str) -> list[StoredObject]:
        """Return the objects of a folder, without their versions."""
        self.asked.append(folder)
        return [replace(each, version_id=None) for each in self.stored if self.key(each.location).startswith(folder)]

    def digests(self, key: str, size: int) -> Digests:
        """Return the digests of an object that is fetched."""
        self.asked.append(f"fetched {key}")
        return Digests(size=size, sha256=self.sha256, md5="")


RECORD = Record()
STORED = StoredObject(
    location=RECORD.location, size=5, modified=datetime(2013, 7, 1, tzinfo=UTC), etag="tag", version_id="1"
)


def bucket(*stored: StoredObject, sha256: str = "hash") -> Bucket:
    return cast(Bucket, MemoryBucket(list(stored), sha256))


def fetched(bucket: Bucket) -> bool:
    return any(each.startswith("fetched") for each in cast(MemoryBucket, bucket).asked)


@pytest.mark.parametrize("stored", [STORED, replace(STORED, version_id=None)])
def test_an_object_with_its_names_is_not_fetched(stored: StoredObject) -> None:
    store = bucket(stored, sha256="another")
    prove_stored(store, RECORD)
    assert not fetched(store)


@pytest.mark.parametrize("stored", [replace(STORED, etag="another"), replace(STORED, version_id="2")])
def test_an_object_with_other_names_counts_by_its_content(stored: StoredObject) -> None:
    store = bucket(stored)
    prove_stored(store, RECORD)
    assert fetched(store)
    with pytest.raises(MissingObjectError, match=r"13\.tar\.gz is not the object that was stored"):
        prove_stored(bucket(stored, sha256="another"), RECORD)


def test_an_object_of_another_size_or_none_is_missing() -> None:
    with pytest.raises(MissingObjectError, match="is not the object that was stored"):
        prove_stored(bucket(replace(STORED, size=6)), RECORD)
    with pytest.raises(MissingObjectError, match="is no longer in the store"):
        prove_stored(bucket(), RECORD)


@pytest.mark.parametrize(("count", "asked"), [(FEW, FEW), (FEW + 1, 1)])
def test_few_objects_are_looked_at_alone_and_many_are_listed(count: int, asked: int) -> None:
    records = [replace(RECORD, location=f"{FOLDER}{number}.tar.gz") for number in range(count)]
    others = replace(STORED, location=f"{FOLDER}of another tool")
    stored = [replace(STORED, location=record.location) for record in records[1:]]
    store = bucket(others, *stored)
    assert list(missing_objects(store, records)) == [records[0].location]
    assert len(cast(MemoryBucket, store).asked) == asked
