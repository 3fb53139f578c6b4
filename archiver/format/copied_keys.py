"""The keys of archived rows, read from COPY text."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from archiver.catalog.model import TableName
from archiver.format import layout
from archiver.format.bundle import Archive
from archiver.postgres.schema import WHOLE_NUMBERS

_ESCAPED = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}  # in COPY text, after a backslash


def keys_in(archive: Archive, table: TableName, columns: Sequence[str]) -> Iterator[Any]:
    """Yield the key of each archived row in these columns: a value, or a tuple; rows with a NULL there are left out."""
    shape = archive.manifest.schemas[table.database].tables[table.table]
    names = [column.name for column in shape.copied]
    places = [(names.index(name), shape.type_of(name) in WHOLE_NUMBERS) for name in columns]
    last = max(at for at, _ in places) + 1
    with archive.open(layout.member(table)) as lines:
        for line in lines:
            cells = line.rstrip(b"\n").split(b"\t", last)
            if all(cells[at] != b"\\N" for at, _ in places):
                key = tuple(int(cells[at]) if is_number else _text(cells[at]) for at, is_number in places)
                yield key[0] if len(key) == 1 else key


def _text(cell: bytes) -> str:
    """Return a value that COPY wrote."""
    return re.sub(r"\\(.)", lambda escaped: _ESCAPED.get(escaped[1], escaped[1]), cell.decode(), flags=re.DOTALL)
