"""A part of an archive as a smaller archive of the same tenant: for example one classroom with all it needs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from archiver.catalog.model import MASTER, Model, Part, TableName
from archiver.format import bundle, layout
from archiver.format.bundle import Archive
from archiver.format.encryption import Keys
from archiver.format.manifest import Member
from archiver.format.rows import RowFile, Spool
from archiver.load.closure import Closure, Lines, lines_of, wanted_by
from archiver.load.fit import Mappings
from archiver.load.links import archived_columns, archived_links, below, named
from archiver.load.row_values import read_values
from archiver.verify.scratch import ScratchDatabase
from errors import UsageError


@contextmanager
def subset_of(
    archive: Archive, model: Model, mappings: Mappings, only: Part | None, work: Path, scratch: ScratchDatabase
) -> Iterator[Archive]:
    """Yield the complete archive, or for a part a smaller one, written to the work folder.

    It holds the part's own row, all rows below it, and the rows those refer to, up to the tenant's row, but not what
    else belongs to these. Raises UsageError if the archive does not hold the part.
    """
    if only is None:
        yield archive
        return
    with smaller(archive, _rows(archive, model, mappings, only, scratch), work) as of_part:
        yield of_part


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


def _rows(
    archive: Archive, model: Model, mappings: Mappings, part: Part, scratch: ScratchDatabase
) -> Mapping[TableName, Lines]:
    """Return the rows of a part's archive. Raises UsageError if the archive does not hold the part's own row."""
    links, schemas = archived_links(model.links, mappings), archive.manifest.schemas
    called = archived_columns(mappings, model.table_of_part(part), ())
    if called is None:
        raise _not_in(archive, part)
    table, key = called[0], schemas[MASTER].tables[called[0].table].primary_key
    down, up = below(links), named(links, schemas)
    columns = (*wanted_by((*down, *up)), *((table, column) for column in key))
    closure = Closure(read_values(archive, scratch, columns))
    own = closure.holding(table, key, (str(part.id),))
    if not own:
        raise _not_in(archive, part)
    return lines_of(archive, closure.follow(closure.follow({table: own}, down), up))


def _not_in(archive: Archive, part: Part) -> UsageError:
    manifest = archive.manifest
    return UsageError(
        f"{part.noun.capitalize()} {part.id} is not in the archive of {manifest.noun} {manifest.tenant_id} of "
        f"{manifest.year}; nothing was changed.",
        hint=f"To see which {manifest.noun} it belongs to, run: inv archive.find {part.noun} {part.id}",
    )


def _spooled(lines: Lines, path: Path) -> Member:
    """Write lines into a file. Return their count and digest."""
    spool = Spool(path)
    for number in sorted(lines):
        spool.write(lines[number])
    return spool.finish(len(lines))
