"""Schemas in the store, once per fingerprint beside the archives and unencrypted: a look at them needs no key."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from archiver.format import layout
from archiver.postgres.schema import Schema
from archiver.store.bucket import Bucket, file_digests
from errors import DamagedError


class StoredSchemas:
    """The schemas of a bucket; what this run put or saw there is not asked for again."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._there: set[str] = set()

    def put(self, schemas: Iterable[Schema], work: Path) -> None:
        """Puts each schema where it is not there yet; StorageError where that fails."""
        for schema in schemas:
            key = layout.schema_key(schema.fingerprint)
            if key not in self._there:
                path = work / f"{schema.fingerprint}.json"
                path.write_bytes(json.dumps(schema.to_json(), indent=1, sort_keys=True).encode() + b"\n")
                self._bucket.put(key, path, file_digests(path))
                self._there.add(key)

    def fetch(self, fingerprint: str, work: Path) -> Schema | None:
        """The schema of that fingerprint, None where it was never stored; DamagedError where it is another one."""
        key = layout.schema_key(fingerprint)
        self._there = self._there or set(self._bucket.keys(layout.SCHEMAS))
        if key not in self._there:
            return None
        path = work / "schema.json"
        self._bucket.get(key, path)
        try:
            schema = Schema.from_json(json.loads(path.read_bytes()))
        except (ValueError, KeyError, TypeError, AttributeError):
            schema = None
        if schema is None or schema.fingerprint != fingerprint:
            raise DamagedError(f"{self._bucket.location(key)} is not the schema that its name says.")
        return schema
