"""The only module that uses boto3: objects are stored once, never overwritten, and hashed when fetched."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from archiver.store import answers
from archiver.store.multipart import PART, put_in_parts
from archiver.store.trial import prove_conditional
from errors import CutoverError, DamagedError, RefusedError
from inventory.model import Store

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
LARGEST = 5 << 30  # bytes that one PUT may send


class StorageError(CutoverError):
    """The store refused a request, or could not be reached."""


class TakenError(StorageError):
    """Another object exists at that key."""


@dataclass(frozen=True, kw_only=True)
class Digests:
    """The size and digests of a file."""

    size: int  # bytes
    sha256: str  # compared at verification
    md5: str  # kept in the record only


@dataclass(frozen=True, kw_only=True)
class StoredDigests(Digests):
    """The digests of a stored file, with the names that the store gave its object at the put."""

    etag: str  # changes with the content
    version_id: str | None  # None: the bucket has no versions


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object as the store lists it."""

    location: str
    size: int  # bytes
    modified: datetime
    etag: str = ""
    version_id: str | None = None  # None: the bucket has none, or this was read from a list

    def to_json(self) -> dict[str, Any]:
        """Return plain data, with the time in ISO format."""
        return {"location": self.location, "size": self.size, "modified": self.modified.isoformat()}


def file_digests(path: Path) -> Digests:
    """Return size, SHA-256 and MD5 of a file, which is read once."""
    with path.open("rb") as file:
        return _digests(iter(lambda: file.read(CHUNK), b""))


def _digests(chunks: Iterable[bytes]) -> Digests:
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    for chunk in chunks:
        sha256.update(chunk)
        md5.update(chunk)
        size += len(chunk)
    return Digests(size=size, sha256=sha256.hexdigest(), md5=md5.hexdigest())


class Bucket:
    """The bucket of the archives. Keys are relative to the environment's prefix."""

    def __init__(self, store: Store, largest: int = LARGEST, part: int = PART) -> None:
        self._store = store
        self._largest = largest
        self._part = part
        self._conditional = False  # proved by a trial
        self._trial = Lock()

    @property
    def _client(self) -> S3Client:
        return _client(self._store.endpoint, self._store.region, self._store.credentials)

    def location(self, key: str) -> str:
        """Return the object's full address, as records hold it."""
        return f"s3://{self._store.bucket}/{self._store.prefix}/{key}"

    def key(self, location: str) -> str:
        """Return the key of an address made by `location`; raise StorageError for another bucket or prefix."""
        start = self.location("")
        if not location.startswith(start):
            raise StorageError(f"{location} is not under {start}.", hint="Is it another environment's record?")
        return location.removeprefix(start)

    def put(self, key: str, path: Path, digests: Digests) -> StoredDigests:
        """Store a file, completely or not at all. An equal object there is success; raise TakenError for another."""
        where: dict[str, Any] = {"Bucket": self._store.bucket, "Key": self._full(key)}
        metadata = {"sha256": digests.sha256, "md5": digests.md5}
        self._prove_conditional_for(key)
        try:
            with path.open("rb") as body:
                if digests.size > self._largest:
                    answer = put_in_parts(self._client, where, body, digests.sha256, metadata, self._part)
                    return _stored(digests, answer)
                answer = self._client.put_object(
                    **where,
                    Body=body,
                    ContentLength=digests.size,
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(digests.sha256)).decode(),
                    Metadata=metadata,
                    IfNoneMatch="*",
                )
        except _failures() as error:
            if _code(error) != "PreconditionFailed":
                raise self._failed("Storing", key, error) from error
            answer = self._head(key)
            if answer["Metadata"].get("sha256", "") != digests.sha256:
                raise TakenError(f"Storing {self.location(key)} refused: another object exists there.") from error
        return _stored(digests, answer)

    def sha256(self, key: str) -> str:
        """Return the SHA-256 that was stored with an object, as hex; empty if there is none."""
        return str(self._head(key)["Metadata"].get("sha256", ""))

    def object(self, key: str) -> StoredObject | None:
        """Return an object as it is now; None if there is none, or a delete marker hides it."""
        try:
            head = self._head(key)
        except StorageError as error:
            if _code(error.__cause__) in ("404", "NoSuchKey"):
                return None
            raise
        return StoredObject(
            location=self.location(key),
            size=head["ContentLength"],
            modified=head["LastModified"],
            etag=_etag(head),
            version_id=_version_id(head),
        )

    def _head(self, key: str) -> Mapping[str, Any]:
        try:
            return self._client.head_object(Bucket=self._store.bucket, Key=self._full(key))
        except _failures() as error:
            raise self._failed("Reading the metadata of", key, error) from error

    def get(self, key: str, path: Path, piece: range | None = None, *, limit: int | None = None) -> Digests:
        """Fetch an object, or a range of its bytes, into a file. Return the digests of the bytes that arrived.

        Raises DamagedError as soon as more than `limit` bytes arrive: they could fill the disk.
        """
        with path.open("wb") as file:
            for chunk in self._chunks(key, piece, limit):
                file.write(chunk)
        return file_digests(path)

    def digests(self, key: str, limit: int) -> Digests:
        """Fetch an object and return its digests; nothing is kept. Raises DamagedError as `get` does."""
        return _digests(self._chunks(key, None, limit))

    def _chunks(self, key: str, piece: range | None, limit: int | None) -> Iterator[bytes]:
        options: dict[str, Any] = {"Range": f"bytes={piece.start}-{piece.stop - 1}"} if piece else {}
        arrived = 0
        try:
            body = self._client.get_object(Bucket=self._store.bucket, Key=self._full(key), **options)["Body"]
            with closing(body):
                for chunk in body.iter_chunks(CHUNK):
                    arrived += len(chunk)
                    if limit is not None and arrived > limit:
                        raise self._too_large(key, limit)
                    yield chunk
        except _failures() as error:
            raise self._failed("Fetching", key, error) from error

    def put_text(self, key: str, text: str) -> bool:
        """Store a small text in one request. Return False if another object exists at that key."""
        self._prove_conditional_for(key)
        return self._put_text(key, text)

    def prove_conditional(self) -> None:
        """Raise RefusedError if the store ignores If-None-Match, StorageError if it can't be tried.

        It is tried once, before the first object is stored.
        """
        with self._trial:
            if not self._conditional:
                prove_conditional(self.location(""), self._put_text, self.text, self.delete)
                self._conditional = True

    def _prove_conditional_for(self, key: str) -> None:
        try:
            self.prove_conditional()
        except RefusedError:
            raise
        except CutoverError as error:
            raise StorageError(f"Storing {self.location(key)} failed in a trial: {error}", hint=error.hint) from error

    def _put_text(self, key: str, text: str) -> bool:
        body = text.encode()
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        try:
            answer = self._client.put_object(
                Bucket=self._store.bucket, Key=self._full(key), Body=body, ChecksumSHA256=checksum, IfNoneMatch="*"
            )
        except _failures() as error:
            if _code(error) != "PreconditionFailed":
                raise self._failed("Storing", key, error) from error
            return self.text(key) == text  # our own request, whose answer was lost
        named = (answer.get("ChecksumSHA256"), answer.get("ETag", "").strip('"'))
        proven = checksum == named[0] or hashlib.md5(body, usedforsecurity=False).hexdigest() == named[1]
        if not proven and self.text(key) != text:  # an encrypted object has an ETag of another kind
            raise self._foreign("Storing", key)
        return True

    def text(self, key: str) -> str | None:
        """Return a small text; None if there is no such object."""
        try:
            answer = self._client.get_object(Bucket=self._store.bucket, Key=self._full(key))
            with closing(answer["Body"]) as body:
                if "ETag" not in answer:
                    raise self._foreign("Fetching", key)
                return body.read().decode()
        except UnicodeDecodeError as error:
            raise self._foreign("Fetching", key) from error
        except _failures() as error:
            if _code(error) == "NoSuchKey":
                return None
            raise self._failed("Fetching", key, error) from error

    def delete(self, key: str) -> None:
        """Delete an object; a missing one is success."""
        try:
            self._client.delete_object(Bucket=self._store.bucket, Key=self._full(key))
        except _failures() as error:
            raise self._failed("Deleting", key, error) from error

    def versioned(self) -> bool:
        """True if the bucket keeps, or once kept, versions of deleted objects."""
        try:
            return "Status" in self._client.get_bucket_versioning(Bucket=self._store.bucket)
        except _failures() as error:
            raise self._failed("Reading whether there are versions under", "", error) from error

    def delete_versions(self, key: str) -> None:
        """Delete every version of an object, and its delete markers."""
        full, bucket = self._full(key), self._store.bucket
        try:
            for page in self._client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=full):
                for version in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                    if version["Key"] == full:
                        self._client.delete_object(Bucket=bucket, Key=full, VersionId=version["VersionId"])
        except _failures() as error:
            raise self._failed("Deleting the versions of", key, error) from error

    def folders(self) -> list[str]:
        """Return the first part of every key that has several parts, sorted."""
        try:
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._store.bucket, Prefix=self._full(""), Delimiter="/"
            )
            return [item["Prefix"].split("/")[-2] for page in pages for item in page.get("CommonPrefixes", ())]
        except _failures() as error:
            raise self._failed("Listing", "", error) from error

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Yield every key with this prefix."""
        return (self.key(stored.location) for stored in self.objects(prefix))

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Yield every object whose key has this prefix."""
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._store.bucket, Prefix=self._full(prefix)
            ):
                if "Name" not in page:  # each list names its bucket
                    raise self._foreign("Listing", prefix)
                for item in page.get("Contents", ()):
                    location = self.location(item["Key"].removeprefix(self._full("")))
                    yield StoredObject(
                        location=location, size=item["Size"], modified=item["LastModified"], etag=_etag(item)
                    )
        except _failures() as error:
            raise self._failed("Listing", prefix, error) from error

    def _full(self, key: str) -> str:
        return f"{self._store.prefix}/{key}"

    def _too_large(self, key: str, limit: int) -> DamagedError:
        return DamagedError(
            f"Fetching {self.location(key)} stopped: it is larger than what was stored, {limit} bytes by the record. "
            "Nothing was changed.",
            hint="The object was altered or swapped. Look for an older version of it in the store.",
        )

    def _foreign(self, operation: str, key: str) -> StorageError:
        sentence = f"{operation} {self.location(key)} failed: the answer is not a store's, but a proxy's or a web page."
        return StorageError(sentence, hint="Is store/endpoint in the inventory the store itself?")

    def _failed(self, operation: str, key: str, error: Exception) -> StorageError:
        reason = _code(error) or type(error).__name__
        sentence = f"{operation} {self.location(key)} failed: {answers.cause(reason)}."
        return StorageError(sentence, hint=answers.hint(reason))


def _failures() -> tuple[type[Exception], ...]:
    """Return what boto3 raises; called only once something was raised, when all of botocore is loaded anyway."""
    from botocore.parsers import ResponseParserError

    return ClientError, BotoCoreError, ResponseParserError


def _stored(digests: Digests, answer: Mapping[str, Any]) -> StoredDigests:
    return StoredDigests(**vars(digests), etag=_etag(answer), version_id=_version_id(answer))


def _etag(answer: Mapping[str, Any]) -> str:
    return str(answer["ETag"]).strip('"')


def _version_id(answer: Mapping[str, Any]) -> str | None:
    return answer.get("VersionId")


def _code(error: BaseException | None) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


@cache  # a client takes a third of a second to make, and threads may share it
def _client(endpoint: str | None, region: str, credentials: str | None) -> S3Client:
    from botocore.config import Config

    config = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 4},
        # Stores other than Amazon's fail on checksums that boto3 adds by itself.
        request_checksum_calculation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    client: S3Client = aws_client("s3", endpoint, region, credentials, config)
    return client


@cache  # the descriptions of Amazon's services are read once
def _loader() -> Any:
    import botocore.loaders

    return botocore.loaders.create_loader()


def aws_client(service: str, endpoint: str | None, region: str, credentials: str | None, config: Config) -> Any:
    """Return a client of one of Amazon's services; without a credentials file, boto3 uses its own search order."""
    # Imported here because it takes a fifth of a second, which most tasks need not wait.
    import boto3
    import botocore.session

    core = botocore.session.Session()
    core.register_component("data_loader", _loader())
    if credentials:
        core.set_config_variable("credentials_file", str(Path(credentials).expanduser()))
    session: Any = boto3.Session(botocore_session=core, region_name=region)
    return session.client(service, config=config, **({"endpoint_url": endpoint} if endpoint else {}))
