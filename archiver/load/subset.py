"""A part of an archive: the rows of one classroom, say, with all it needs, as a smaller archive of the same tenant."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from archiver.catalog.model import Model, Part, TableName
from archiver.format import bundle, layout
from archiver.format.bundle import Archive
from archiver.format.encryption import Keys
from archiver.format.manifest import Member
from archiver.format.rows import RowFile, Spool
from archiver.load.closure import Closure, Lines
from archiver.load.fit import Mappings
from archiver.load.links import archived_columns, archived_links, below, named
from errors import UsageError


@contextmanager
def subset_of(archive: Archive, model: Model, mappings: Mappings, only: Part | None, work: Path) -> Iterator[Archive]:
    """The whole archive, or of a part the smaller one, which lies in the work folder: the part's own row, all that is
    found below it, and whatever those rows name, up to the tenant's row, without what else belongs to that.

    Raises UsageError where the archive does not hold the part.
    """
    if only is None:
        yield archive
        return
    with smaller(archive, _rows(archive, model, mappings, only), work) as of_part:
        yield of_part


@contextmanager
def smaller(archive: Archive, rows: Mapping[TableName, Lines], work: Path) -> Iterator[Archive]:
    """An archive that holds these rows of another and no more; it lies in the work folder, which holds no other."""
    with bundle.opened(_written(archive, rows, work), Keys()) as opened:
        yield opened


def _written(archive: Archive, rows: Mapping[TableName, Lines], work: Path) -> Path:
    files = {layout.member(table): work / f"part-{number}.copy" for number, table in enumerate(rows)}
    members = {layout.member(table): _spooled(rows[table], files[layout.member(table)]) for table in rows}
    _, texts = layout.with_digests(replace(archive.manifest, members=members))
    path = work / "part.tar.gz"
    bundle.write(path, texts, {name: RowFile(file) for name, file in files.items()})
    return path


def _rows(archive: Archive, model: Model, mappings: Mappings, part: Part) -> Mapping[TableName, Lines]:
    found, links, reach = _own(archive, model, mappings, part), archived_links(model.links, mappings), Closure(archive)
    return reach.follow(reach.follow(found, below(links)), named(links, archive.manifest.schemas))


def _own(archive: Archive, model: Model, mappings: Mappings, part: Part) -> dict[TableName, Lines]:
    """The part's own row."""
    called, reach = archived_columns(mappings, model.table_of_part(part), ()), Closure(archive)
    table = called[0] if called else None
    own = reach.holding(table, reach.key(table), (str(part.id).encode(),)) if table else {}
    if table is None or not own:
        manifest = archive.manifest
        raise UsageError(
            f"{part.noun.capitalize()} {part.id} is not in the archive of {manifest.noun} {manifest.tenant_id} of "
            f"{manifest.year}; nothing was changed.",
            hint=f"It may be another {manifest.noun}'s: inv archive.find {part.noun} {part.id} tells.",
        )
    return {table: own}


def _spooled(lines: Lines, path: Path) -> Member:
    spool = Spool(path)
    for number in sorted(lines):
        spool.write(lines[number])
    return spool.finish(len(lines))
