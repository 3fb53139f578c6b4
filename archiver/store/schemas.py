"""Schemas in the store, one object a fingerprint, unencrypted: reading them needs no key."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from archiver.format import layout
from archiver.postgres.schema import Schema
from archiver.store.bucket import Bucket, file_digests
from errors import DamagedError

LARGEST = 64 << 20  # bytes of a schema: no product's comes near


class StoredSchemas:
    """The schemas of a bucket; it remembers the keys that this run has stored or seen."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket
        self._keys: set[str] = set()

    def put(self, schemas: Iterable[Schema], work: Path) -> None:
        """Store each schema that is not stored yet; raise StorageError if that fails."""
        for schema in schemas:
            key = layout.schema_key(schema.fingerprint)
            if key not in self._keys:
                path = work / f"{schema.fingerprint}.json"
                path.write_bytes(json.dumps(schema.to_json(), indent=1, sort_keys=True).encode() + b"\n")
                self._bucket.put(key, path, file_digests(path))
                self._keys.add(key)

    def fetch(self, fingerprint: str, work: Path) -> Schema | None:
        """Return the schema of a fingerprint; None if it was never stored. Raise DamagedError for another schema."""
        key = layout.schema_key(fingerprint)
        self._keys = self._keys or set(self._bucket.keys(layout.SCHEMAS))
        if key not in self._keys:
            return None
        path = work / "schema.json"
        self._bucket.get(key, path, limit=LARGEST)
        try:
            schema = Schema.from_json(json.loads(path.read_bytes()))
        except (ValueError, KeyError, TypeError, AttributeError):
            schema = None
        if schema is None or schema.fingerprint != fingerprint:
            raise DamagedError(f"{self._bucket.location(key)} is not the schema of the fingerprint in its name.")
        return schema
