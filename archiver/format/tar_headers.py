"""Headers of a tar file, with no content that differs between runs.

Python's tarfile writes the first header of each name; later headers of that name differ only in size and checksum.
An archive of a small tenant is mostly headers, and there are thousands of tenants.
Format: POSIX.1-1988 ustar, as tarfile's USTAR_FORMAT; longer names and sizes as its PAX_FORMAT.
"""

from __future__ import annotations

import tarfile
from functools import cache

BLOCK = 512
END = bytes(2 * BLOCK)
_SIZE, _SUM = slice(124, 136), slice(148, 156)
_LARGEST = 8**11  # bytes: the first size that does not fit eleven octal digits


def header(name: str, size: int) -> bytes:
    """Return a regular file's header: mode 0644, no owner, no time."""
    empty = _empty(name)
    if len(empty) != BLOCK or size >= _LARGEST:
        return _written(name, size)
    block = bytearray(empty)
    block[_SIZE] = b"%011o\0" % size
    block[_SUM] = b" " * 8  # the checksum counts its own field as spaces
    block[_SUM] = b"%06o\0 " % sum(block)
    return bytes(block)


def padding(size: int) -> bytes:
    """Return the bytes that fill a file's last block."""
    return bytes(-size % BLOCK)


@cache
def _empty(name: str) -> bytes:
    return _written(name, 0)


def _written(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.PAX_FORMAT)
