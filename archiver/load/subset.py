"""A part of an archive as a smaller archive of the same tenant: for example one classroom with all it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from archiver.catalog.model import Part, TableName
from archiver.format import bundle, layout
from archiver.format.bundle import Archive
from archiver.format.encryption import Keys
from archiver.format.manifest import Member
from archiver.format.rows import RowFile, Spool
from archiver.load.closure import Lines
from archiver.load.load import IncomingArchive
from archiver.load.part_rows import rows_of_part


@contextmanager
def only_part(incoming: Sequence[IncomingArchive], only: Part | None, work: Path) -> Iterator[list[IncomingArchive]]:
    """Yield an archive and its months, complete, or for a part smaller ones, written to the work folder.

    Raises UsageError if the archive does not hold the part.
    """
    with ExitStack() as stack:
        parts = rows_of_part(incoming, only) if only else []
        folders = [work / f"part-{number}" for number in range(len(parts))]
        for folder in folders:
            folder.mkdir()
        archives = [
            stack.enter_context(smaller(each.archive, rows, folder))
            for each, rows, folder in zip(incoming, parts, folders, strict=False)
        ]
        yield (
            [replace(each, archive=archive) for each, archive in zip(incoming, archives, strict=True)]
            if only
            else [*incoming]
        )


@contextmanager
def smaller(archive: Archive, rows: Mapping[TableName, Lines], work: Path) -> Iterator[Archive]:
    """Yield an archive with only these rows, written to the work folder, which must hold no other part."""
    with bundle.opened(_written(archive, rows, work), Keys()) as opened:
        yield opened


def _written(archive: Archive, rows: Mapping[TableName, Lines], work: Path) -> Path:
    """Write an archive with only these rows. Return its path."""
    files = {layout.member(table): work / f"part-{number}.copy" for number, table in enumerate(rows)}
    members = {layout.member(table): _spooled(rows[table], files[layout.member(table)]) for table in rows}
    _, texts = layout.with_digests(replace(archive.manifest, members=members))
    path = work / "part.tar.gz"
    bundle.write(path, texts, {name: RowFile(file) for name, file in files.items()})
    return path


def _spooled(lines: Lines, path: Path) -> Member:
    """Write lines into a file. Return their count and digest."""
    spool = Spool(path)
    for number in sorted(lines):
        spool.write(lines[number])
    return spool.finish(len(lines))
