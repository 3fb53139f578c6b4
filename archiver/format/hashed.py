"""A source for COPY whose bytes are hashed as PostgreSQL reads them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable


class HashedSource:
    """A source made of a function that returns the next bytes, none at the end; it may ignore the size."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        """Return the next bytes; psycopg2 accepts any length."""
        data = self._read(size)
        self._hash.update(data)
        return data

    def readline(self, size: int = -1, /) -> bytes:
        """Return the next bytes, as `read` does: COPY does not need lines."""
        return self.read(size)

    @property
    def sha256(self) -> str:
        """The SHA-256 of everything read so far."""
        return self._hash.hexdigest()
