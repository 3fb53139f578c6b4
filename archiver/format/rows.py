"""A table's rows as COPY text, in files until they are packed. Memory never holds a whole table."""

from __future__ import annotations

import hashlib
import os
from array import array
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Protocol

from archiver.format.manifest import Member

JOIN = 1 << 20  # bytes gathered before they are hashed and written
_OBJECT = 96  # bytes of memory per row besides its text: the object, its entry in a list, malloc's rounding
_NOTHING = array("Q")


class CopyRows(Protocol):
    """Rows that can be read repeatedly."""

    @property
    def size(self) -> int:
        """Bytes."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, in pieces of at most JOIN."""


class RowFile:
    """The rows of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def size(self) -> int:
        """Bytes."""
        return self._path.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, in pieces of at most JOIN."""
        with self._path.open("rb") as file:
            while data := file.read(JOIN):
                yield data


class Digest:
    """A sink for COPY that keeps only the size and SHA-256 of the rows. It joins the one-row writes of psycopg2."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._parts: list[bytes] = []
        self._pending = 0
        self._size = 0

    def write(self, data: bytes, /) -> int:
        """Take one row, or several."""
        self._parts.append(data)
        self._pending += len(data)
        if self._pending >= JOIN:
            self._flush()
        return len(data)

    def finish(self, rows: int) -> Member:
        """Return the manifest's entry for the rows written."""
        self._flush()
        return Member(rows=rows, bytes=self._size, sha256=self._hash.hexdigest())

    def _flush(self) -> None:
        data = b"".join(self._parts)
        self._keep(data)
        self._hash.update(data)
        self._size += len(data)
        self._parts.clear()
        self._pending = 0

    def _keep(self, data: bytes) -> None:
        """Discard the rows; a subclass stores them."""


class Spool(Digest):
    """A Digest that also writes the rows to a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._file = path.open("wb")

    def finish(self, rows: int) -> Member:
        """Close the file and return the manifest's entry for it."""
        member = super().finish(rows)
        self._file.close()
        return member

    def _keep(self, data: bytes) -> None:
        self._file.write(data)


class Pieces:
    """The rows of one tenant and table, as a sorter left them: pieces of a file with the rows of many tenants."""

    def __init__(self, file: IO[bytes], extents: array[int], rows: int) -> None:
        self._file = file
        self._extents = extents  # alternating: offset and bytes of each piece
        self.rows = rows

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(self._extents[1::2])

    def chunks(self) -> Iterator[bytes]:
        """Yield the bytes, in pieces of at most JOIN."""
        number = self._file.fileno()
        for offset, size in zip(self._extents[::2], self._extents[1::2], strict=True):
            for start in range(0, size, JOIN):
                yield os.pread(number, min(JOIN, size - start), offset + start)


class Sorter:
    """A sink for COPY that sorts rows by the tenant they begin with, while they are read.

    When `memory` bytes have been gathered, each tenant's rows are appended to the file as one piece.
    """

    def __init__(self, file: IO[bytes], memory: int) -> None:
        self._file = file
        self._memory = memory
        self._waiting: defaultdict[bytes, list[bytes]] = defaultdict(list)
        self._pending = 0
        self._extents: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))
        self._rows: defaultdict[int, int] = defaultdict(int)

    def write(self, data: bytes, /) -> int:
        """Take one row: the tenant's number, a tab, and the row as it goes into the archive."""
        tenant, _, row = data.partition(b"\t")
        self._waiting[tenant].append(row)
        self._pending += len(data) + _OBJECT
        if self._pending > self._memory:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Write the rows gathered in memory to the file."""
        offset = self._file.seek(0, 2)
        for tenant, rows in self._waiting.items():
            size = self._file.write(b"".join(rows))
            self._extents[int(tenant)].extend((offset, size))
            self._rows[int(tenant)] += len(rows)
            offset += size
        self._file.flush()  # Pieces reads by the file descriptor
        self._waiting.clear()
        self._pending = 0

    def rows(self, tenant: int) -> Pieces:
        """Return the rows of one tenant, by its number. Call flush before."""
        return Pieces(self._file, self._extents.get(tenant, _NOTHING), self._rows.get(tenant, 0))


def member(rows: Pieces) -> Member:
    """Return the manifest's entry for a tenant's rows."""
    digest = Digest()
    for data in rows.chunks():
        digest.write(data)
    return digest.finish(rows.rows)
