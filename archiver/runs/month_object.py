"""Slices into one object of the store, and back: all of them to be proved, or one alone."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from archiver.catalog.activity_rules import Rules
from archiver.extract.month import MonthExtract
from archiver.format import bundle, layout, tar_headers
from archiver.format.bundle import Archive
from archiver.format.rows import JOIN
from archiver.records.month_record import Month
from archiver.records.slice_record import Slice
from archiver.runs.context import Archiver
from archiver.store.bucket import Digests, file_digests
from archiver.verify.verify import verify_together
from errors import CutoverError, DamagedError


@dataclass(frozen=True, kw_only=True)
class PackedSlice:
    """One tenant's slice, packed: an archive in the work folder."""

    extract: MonthExtract
    path: Path
    digests: Digests

    @property
    def rows(self) -> Mapping[str, int]:
        """Its rows by member, where there are any."""
        return {name: member.rows for name, member in self.extract.manifest.members.items() if member.rows}

    def slice_of(self, month: Month, start: int) -> Slice:
        """The slice of a record's archive in which it begins there."""
        digests, tenant_id = self.digests, self.extract.tenant.id
        return Slice(
            month=month,
            tenant_id=tenant_id,
            start=start,
            size=digests.size,
            sha256=digests.sha256,
            rows=self.rows,
            went=None,
            stayed=None,
        )


def pack(archiver: Archiver, extract: MonthExtract, work: Path) -> PackedSlice:
    """Packs a tenant's due rows as an archive of their own."""
    _, path = bundle.pack(extract.manifest, extract.rows, archiver.keys, work)
    for spooled in work.glob("*.copy"):
        spooled.unlink()
    return PackedSlice(extract=extract, path=path, digests=file_digests(path))


class MonthMember(Protocol):
    """What a tar takes in."""

    @property
    def path(self) -> Path:
        """Where it lies."""

    @property
    def digests(self) -> Digests:
        """What its bytes come to."""


def join(packed: Sequence[MonthMember], path: Path, readme: str) -> list[int]:
    """Writes the archives as members of a plain tar; where each begins in it, in bytes."""
    starts = []
    with path.open("wb") as out:
        text = readme.encode()
        out.write(tar_headers.header(layout.README, len(text)) + text + tar_headers.padding(len(text)))
        for one in packed:
            out.write(tar_headers.header(one.path.name, one.digests.size))
            starts.append(out.tell())
            with one.path.open("rb") as source:
                while data := source.read(JOIN):
                    out.write(data)
            out.write(tar_headers.padding(one.digests.size))
        out.write(tar_headers.END)
    return starts


def readme(noun: str, month: str, shard: str) -> str:
    """The text that tells how to open such a tar."""
    return (
        f"Activity on {shard} that ended by the end of {month}.\n\n"
        f"Each member is one {noun}'s, and an archive by itself; number 0 holds rows of no {noun}.\n"
        "Take out the one you want (tar xf …), then open it with tar and psql as the README in it says.\n"
    )


def prove(archives: Sequence[Archive], archiver: Archiver, rules: Rules) -> float:
    """Restores slices into the scratch database and compares; seconds. Raises what is wrong with one that fails."""
    began = time.monotonic()
    for proof in verify_together(archives, archiver.scratch, rules.archive_model):
        if isinstance(proof, CutoverError):
            raise proof
    return time.monotonic() - began


@contextmanager
def opened(paths: Sequence[Path], archiver: Archiver) -> Iterator[list[Archive]]:
    """Archives that lie in the work folder, opened, each held against its manifest."""
    with ExitStack() as stack:
        yield [stack.enter_context(bundle.opened(path, archiver.keys)) for path in paths]


def fetch_all(archiver: Archiver, month: Month, slices: Sequence[Slice], work: Path) -> list[Path]:
    """Fetches a whole object, and cuts it into its slices; DamagedError unless it is what was stored."""
    whole = work / "fetched.tar"
    found = archiver.bucket.get(archiver.bucket.key(month.location), whole)
    if (found.size, found.sha256) != (month.size, month.sha256):
        raise _damaged(month.location, found, month.size, month.sha256)
    paths = [_file(archiver, one, work) for one in slices]
    with whole.open("rb") as source:
        for one, path in zip(slices, paths, strict=True):
            _cut(source, one, path)
    whole.unlink()
    return paths


def _cut(source: IO[bytes], one: Slice, path: Path) -> None:
    source.seek(one.start)
    with path.open("wb") as out:
        for begin in range(0, one.size, JOIN):
            out.write(source.read(min(JOIN, one.size - begin)))


def fetch(archiver: Archiver, one: Slice, work: Path) -> Path:
    """Fetches one slice and no more; DamagedError unless it is what was stored, and this tenant's."""
    path, where = _file(archiver, one, work), f"{one.month.location} (bytes {one.start} and {one.size} more)"
    found = archiver.bucket.get(archiver.bucket.key(one.month.location), path, range(one.start, one.start + one.size))
    if (found.size, found.sha256) != (one.size, one.sha256):
        raise _damaged(where, found, one.size, one.sha256)
    return path


def belongs_to(archive: Archive, one: Slice) -> None:
    """DamagedError unless an archive is this slice of this month."""
    manifest = archive.manifest
    if (manifest.tenant_id, manifest.month, manifest.shard) != (one.tenant_id, one.month.month, one.month.shard):
        raise DamagedError(
            f"{archive.name} is of {manifest.noun} {manifest.tenant_id}, {manifest.month}, {manifest.shard}; "
            f"the record says {one.tenant_id}, {one.month.month}, {one.month.shard}. Nothing was changed."
        )


def _file(archiver: Archiver, one: Slice, work: Path) -> Path:
    """Where a slice lies in the work folder."""
    folder = work / f"fetched-{one.id}-{one.tenant_id}"
    folder.mkdir(exist_ok=True)
    return folder / one.name(archiver.model.tenant.noun)


def _damaged(where: str, found: Digests, size: int | None, sha256: str | None) -> DamagedError:
    return DamagedError(
        f"{where} is not what was stored: {found.size} bytes with SHA-256 {found.sha256[:12]}…, the record says "
        f"{size} bytes with {str(sha256)[:12]}…. Nothing was changed.",
        hint="The object was cut off, altered or swapped. Look for an older version of it in the store.",
    )
