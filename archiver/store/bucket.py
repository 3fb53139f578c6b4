"""The only door to boto3: objects are put once, never overwritten, and hashed on the way back."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from archiver.store.multipart import PART, put_in_parts
from errors import CutoverError
from inventory.model import Store

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

CHUNK = 1 << 20
LARGEST = 5 << 30  # bytes that one request may bring


class StorageError(CutoverError):
    """The store refused, or could not be reached."""


class TakenError(StorageError):
    """Another object stands at that key already."""


@dataclass(frozen=True, kw_only=True)
class Digests:
    """What a file's bytes come to."""

    size: int  # bytes
    sha256: str  # what verification trusts
    md5: str  # what the record was asked to hold


@dataclass(frozen=True, kw_only=True)
class StoredObject:
    """An object as a listing of the store shows it."""

    location: str
    size: int  # bytes
    modified: datetime

    def to_json(self) -> dict[str, Any]:
        """Plain data, the time in ISO format."""
        return {"location": self.location, "size": self.size, "modified": self.modified.isoformat()}


def file_digests(path: Path) -> Digests:
    """Size, SHA-256 and MD5 of a file, read once."""
    sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
            md5.update(chunk)
            size += len(chunk)
    return Digests(size=size, sha256=sha256.hexdigest(), md5=md5.hexdigest())


class Bucket:
    """The archives' bucket. Keys are relative to the environment's prefix."""

    def __init__(self, store: Store, largest: int = LARGEST, part: int = PART) -> None:
        self._store = store
        self._largest = largest
        self._part = part

    @property
    def _client(self) -> S3Client:
        return _client(self._store.endpoint, self._store.region, self._store.credentials)

    def location(self, key: str) -> str:
        """The object's full address, as records hold it."""
        return f"s3://{self._store.bucket}/{self._store.prefix}/{key}"

    def key(self, location: str) -> str:
        """The key of an address made by `location`; StorageError for another bucket's or prefix's."""
        start = self.location("")
        if not location.startswith(start):
            raise StorageError(f"{location} does not lie under {start}.", hint="Is it another environment's record?")
        return location.removeprefix(start)

    def put(self, key: str, path: Path, digests: Digests) -> None:
        """Stores a file whole or not at all; an equal object there already is success, another is TakenError."""
        where: dict[str, Any] = {"Bucket": self._store.bucket, "Key": self._full(key)}
        metadata = {"sha256": digests.sha256, "md5": digests.md5}
        try:
            with path.open("rb") as body:
                if digests.size > self._largest:
                    put_in_parts(self._client, where, body, digests.sha256, metadata, self._part)
                    return
                self._client.put_object(
                    **where,
                    Body=body,
                    ContentLength=digests.size,
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(digests.sha256)).decode(),
                    Metadata=metadata,
                    IfNoneMatch="*",
                )
        except (ClientError, BotoCoreError) as error:
            if _code(error) != "PreconditionFailed":
                raise self._failed("Storing", key, error) from error
            if self.sha256(key) != digests.sha256:
                raise TakenError(f"Storing {self.location(key)} refused: another object stands there.") from error

    def sha256(self, key: str) -> str:
        """The SHA-256 that was stored with an object, as hex."""
        try:
            head = self._client.head_object(Bucket=self._store.bucket, Key=self._full(key))
        except (ClientError, BotoCoreError) as error:
            raise self._failed("Looking at", key, error) from error
        return head["Metadata"].get("sha256", "")

    def get(self, key: str, path: Path, piece: range | None = None) -> Digests:
        """Fetches an object into a file, or of its bytes a piece; the digests are of the bytes that arrived."""
        wanted: dict[str, Any] = {"Range": f"bytes={piece.start}-{piece.stop - 1}"} if piece else {}
        try:
            body = self._client.get_object(Bucket=self._store.bucket, Key=self._full(key), **wanted)["Body"]
            with path.open("wb") as file:
                for chunk in body.iter_chunks(CHUNK):
                    file.write(chunk)
        except (ClientError, BotoCoreError) as error:
            raise self._failed("Fetching", key, error) from error
        return file_digests(path)

    def put_text(self, key: str, text: str) -> bool:
        """Stores a small text in one request; False where another stands at that key already."""
        body = text.encode()
        checksum = base64.b64encode(hashlib.sha256(body).digest()).decode()
        try:
            self._client.put_object(
                Bucket=self._store.bucket, Key=self._full(key), Body=body, ChecksumSHA256=checksum, IfNoneMatch="*"
            )
        except (ClientError, BotoCoreError) as error:
            if _code(error) != "PreconditionFailed":
                raise self._failed("Storing", key, error) from error
            return self.text(key) == text  # our own put, whose answer was lost
        return True

    def text(self, key: str) -> str | None:
        """A small text; none where there is no such object."""
        try:
            return self._client.get_object(Bucket=self._store.bucket, Key=self._full(key))["Body"].read().decode()
        except (ClientError, BotoCoreError) as error:
            if _code(error) == "NoSuchKey":
                return None
            raise self._failed("Fetching", key, error) from error

    def delete(self, key: str) -> None:
        """Deletes an object; one that is not there is success."""
        try:
            self._client.delete_object(Bucket=self._store.bucket, Key=self._full(key))
        except (ClientError, BotoCoreError) as error:
            raise self._failed("Deleting", key, error) from error

    def keys(self, prefix: str = "") -> Iterator[str]:
        """Every key that begins so."""
        return (self.key(stored.location) for stored in self.objects(prefix))

    def objects(self, prefix: str = "") -> Iterator[StoredObject]:
        """Every object whose key begins so."""
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._store.bucket, Prefix=self._full(prefix)
            ):
                for item in page.get("Contents", ()):
                    location = self.location(item["Key"].removeprefix(self._full("")))
                    yield StoredObject(location=location, size=item["Size"], modified=item["LastModified"])
        except (ClientError, BotoCoreError) as error:
            raise self._failed("Listing", prefix, error) from error

    def _full(self, key: str) -> str:
        return f"{self._store.prefix}/{key}"

    def _failed(self, operation: str, key: str, error: Exception) -> StorageError:
        reason = _code(error) or type(error).__name__
        hint = "Was it deleted by hand?" if reason in ("404", "NoSuchKey") else "Is the store up, are credentials set?"
        return StorageError(f"{operation} {self.location(key)} failed: {reason}.", hint=hint)


def _code(error: Exception) -> str:
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


@cache  # to make one takes a third of a second, and threads may share it
def _client(endpoint: str | None, region: str, credentials: str | None) -> S3Client:
    from botocore.config import Config

    config = Config(
        connect_timeout=10,
        read_timeout=60,
        retries={"mode": "standard", "max_attempts": 4},
        # Only what we ask for: other stores than Amazon's stumble over checksums they were not asked to keep.
        request_checksum_calculation="when_required",
        s3={"addressing_style": "path" if endpoint else "auto"},
    )
    client: S3Client = aws_client("s3", endpoint, region, credentials, config)
    return client


@cache  # what the services' interfaces are is read once
def _loader() -> Any:
    import botocore.loaders

    return botocore.loaders.create_loader()


def aws_client(service: str, endpoint: str | None, region: str, credentials: str | None, config: Config) -> Any:
    """A client of one of Amazon's services; with no credentials file it looks for them in boto3's own order."""
    # Only who speaks to the store or to Amazon waits for these: a fifth of a second.
    import boto3
    import botocore.session

    core = botocore.session.Session()
    core.register_component("data_loader", _loader())
    if credentials:
        core.set_config_variable("credentials_file", str(Path(credentials).expanduser()))
    session: Any = boto3.Session(botocore_session=core, region_name=region)
    return session.client(service, config=config, **({"endpoint_url": endpoint} if endpoint else {}))
