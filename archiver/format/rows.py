"""A table's rows as COPY text, lying in files until they are packed; never in memory as a whole."""

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
_OBJECT = 96  # bytes that a row costs in memory beside its own: the object, its place in a list, what malloc rounds up
_NOTHING = array("Q")


class CopyRows(Protocol):
    """Rows that can be read as often as wanted."""

    @property
    def size(self) -> int:
        """Bytes."""

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in pieces of at most JOIN."""


class RowFile:
    """The rows of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def size(self) -> int:
        """Bytes."""
        return self._path.stat().st_size

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in pieces of at most JOIN."""
        with self._path.open("rb") as file:
            while data := file.read(JOIN):
                yield data


class Digest:
    """A sink for COPY that keeps rows' bytes and SHA-256 only; it joins the one-row writes of psycopg2."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._parts: list[bytes] = []
        self._pending = 0
        self._size = 0

    def write(self, data: bytes, /) -> int:
        """Takes one row, or several."""
        self._parts.append(data)
        self._pending += len(data)
        if self._pending >= JOIN:
            self._flush()
        return len(data)

    def finish(self, rows: int) -> Member:
        """What the manifest says of what came."""
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
        """Nothing."""


class Spool(Digest):
    """The same, and the rows go to a file."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self._file = path.open("wb")

    def finish(self, rows: int) -> Member:
        """Closes the file; what the manifest says of it."""
        member = super().finish(rows)
        self._file.close()
        return member

    def _keep(self, data: bytes) -> None:
        self._file.write(data)


class Pieces:
    """The rows of one tenant and table, where a sorter left them: pieces of a file that many share."""

    def __init__(self, file: IO[bytes], places: array[int], rows: int) -> None:
        self._file = file
        self._places = places  # offset and bytes of each piece in turn
        self.rows = rows

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(self._places[1::2])

    def chunks(self) -> Iterator[bytes]:
        """The bytes, in pieces of at most JOIN."""
        number = self._file.fileno()
        for offset, size in zip(self._places[::2], self._places[1::2], strict=True):
            for start in range(0, size, JOIN):
                yield os.pread(number, min(JOIN, size - start), offset + start)


class Sorter:
    """A sink for COPY whose rows begin with their tenant: sorts them by tenant while they are read.

    So many bytes lie in memory at most; then each tenant's rows are appended to the file as one piece.
    """

    def __init__(self, file: IO[bytes], memory: int) -> None:
        self._file = file
        self._memory = memory
        self._waiting: defaultdict[bytes, list[bytes]] = defaultdict(list)
        self._pending = 0
        self._places: defaultdict[int, array[int]] = defaultdict(lambda: array("Q"))
        self._rows: defaultdict[int, int] = defaultdict(int)

    def write(self, data: bytes, /) -> int:
        """Takes one row: the tenant's id, a tab, and the row as it will stand in the archive."""
        tenant, _, row = data.partition(b"\t")
        self._waiting[tenant].append(row)
        self._pending += len(data) + _OBJECT
        if self._pending > self._memory:
            self.flush()
        return len(data)

    def flush(self) -> None:
        """Writes what waits in memory."""
        offset = self._file.seek(0, 2)
        for tenant, rows in self._waiting.items():
            size = self._file.write(b"".join(rows))
            self._places[int(tenant)].extend((offset, size))
            self._rows[int(tenant)] += len(rows)
            offset += size
        self._file.flush()  # it is read by its number
        self._waiting.clear()
        self._pending = 0

    def rows(self, tenant_id: int) -> Pieces:
        """One tenant's rows; the sorter has been flushed."""
        return Pieces(self._file, self._places.get(tenant_id, _NOTHING), self._rows.get(tenant_id, 0))


def member(rows: Pieces) -> Member:
    """What the manifest says of a tenant's rows."""
    digest = Digest()
    for data in rows.chunks():
        digest.write(data)
    return digest.finish(rows.rows)
