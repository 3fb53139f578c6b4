"""Headers of a tar file with nothing in them that differs from one run to the next.

Python's tarfile writes the first header of a name; of that name's later ones only size and checksum differ. An archive
of a small tenant is mostly headers, and there are thousands of tenants.
Format: POSIX.1-1988 ustar, as tarfile's USTAR_FORMAT; longer names and sizes as its PAX_FORMAT.
"""

from __future__ import annotations

import tarfile
from functools import cache

BLOCK = 512
END = bytes(2 * BLOCK)
_SIZE, _SUM = slice(124, 136), slice(148, 156)
_LARGEST = 8**11  # bytes that the size's eleven octal digits can't say any more


def header(name: str, size: int) -> bytes:
    """A plain file's header, of mode 0644, without owner and time."""
    empty = _empty(name)
    if len(empty) != BLOCK or size >= _LARGEST:
        return _written(name, size)
    block = bytearray(empty)
    block[_SIZE] = b"%011o\0" % size
    block[_SUM] = b" " * 8  # as which the checksum counts itself
    block[_SUM] = b"%06o\0 " % sum(block)
    return bytes(block)


def padding(size: int) -> bytes:
    """What fills a file's last block."""
    return bytes(-size % BLOCK)


@cache
def _empty(name: str) -> bytes:
    return _written(name, 0)


def _written(name: str, size: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    return entry.tobuf(tarfile.PAX_FORMAT)
