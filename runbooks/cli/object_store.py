"""The environment's object store: small texts that every machine sees."""

from __future__ import annotations

from dataclasses import replace

from archiver.store.bucket import Bucket
from inventory.model import Store

FOLDER = "cutover"  # in the store: nights, and the active run


class EnvironmentStore:
    """The environment's store: a folder beside the archives."""

    def __init__(self, store: Store) -> None:
        self._bucket = Bucket(replace(store, prefix=f"{store.prefix}/{FOLDER}"))

    def put_new(self, name: str, text: str) -> bool:
        """Store a text permanently; return False if the name exists already. Raises StorageError."""
        return self._bucket.put_text(name, text)

    def get(self, name: str) -> str | None:
        """Return the text of that name, or None if there is none; StorageError if the store fails."""
        return self._bucket.text(name)

    def names(self, start: str) -> list[str]:
        """Return every name with that prefix, sorted; StorageError if the store fails."""
        return sorted(self._bucket.keys(start))
