"""The store's object of a month's slices: written with all of them, and fetched complete or one slice at a time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeVar

from archiver.catalog.activity_rules import Rules
from archiver.extract.month import MonthExtract
from archiver.format import bundle, layout, tar_headers
from archiver.format.bundle import Archive
from archiver.format.rows import JOIN
from archiver.records.month_record import Month
from archiver.records.slice_record import Slice
from archiver.runs.context import Archiver
from archiver.store.bucket import Digests, StorageError, file_digests
from archiver.verify.verify import verify_together
from errors import CutoverError, DamagedError

Read = TypeVar("Read")


@dataclass(frozen=True, kw_only=True)
class PackedSlice:
    """One tenant's slice, packed as an archive in the work folder."""

    extract: MonthExtract
    path: Path
    digests: Digests

    @property
    def rows(self) -> Mapping[str, int]:
        """The number of rows by member, without empty members."""
        return {name: member.rows for name, member in self.extract.manifest.members.items() if member.rows}

    def slice_of(self, month: Month, start: int) -> Slice:
        """Return the slice as part of a month's object, beginning at byte `start`."""
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
    """Pack a tenant's due rows as an archive of their own."""
    _, path = bundle.pack(extract.manifest, extract.rows, archiver.keys, work)
    for spooled in work.glob("*.copy"):
        spooled.unlink()
    return PackedSlice(extract=extract, path=path, digests=file_digests(path))


class MonthMember(Protocol):
    """A file to write into a month's object."""

    @property
    def path(self) -> Path:
        """The path in the work folder."""

    @property
    def digests(self) -> Digests:
        """Size and digests of the file."""


def join(packed: Sequence[MonthMember], path: Path, readme: str) -> list[int]:
    """Write the archives as members of a plain tar; return the offset of each, in bytes."""
    starts = []
    with path.open("wb") as out:
        text = readme.encode()
        out.write(tar_headers.header(layout.README, len(text)) + text + tar_headers.padding(len(text)))
        for member in packed:
            out.write(tar_headers.header(member.path.name, member.digests.size))
            starts.append(out.tell())
            with member.path.open("rb") as source:
                while data := source.read(JOIN):
                    out.write(data)
            out.write(tar_headers.padding(member.digests.size))
        out.write(tar_headers.END)
    return starts


def readme(noun: str, month: str, shard: str) -> str:
    """Return the text that explains how to open such a tar."""
    return (
        f"Activity on {shard} that ended by the end of {month}.\n\n"
        f"Each member is an archive of one {noun}; number 0 holds rows of no {noun}.\n"
        "Extract the one you need (tar xf …), then open it with tar and psql as its README explains.\n"
    )


def prove(archives: Sequence[Archive], archiver: Archiver, rules: Rules) -> float:
    """Restore slices into the scratch database and compare; return the seconds it took. Raises the first failure."""
    began = time.monotonic()
    for proof in verify_together(archives, archiver.scratch, rules.archive_model):
        if isinstance(proof, CutoverError):
            raise proof
    return time.monotonic() - began


@contextmanager
def opened(paths: Sequence[Path], archiver: Archiver) -> Iterator[list[Archive]]:
    """Open archives in the work folder, each checked against its manifest."""
    with ExitStack() as stack:
        yield [stack.enter_context(bundle.opened(path, archiver.keys)) for path in paths]


def fetch_all(archiver: Archiver, month: Month, slices: Sequence[Slice], work: Path) -> list[Path]:
    """Fetch a complete object and cut it into its slices; raise DamagedError unless it is what was stored."""
    tarball = work / "fetched.tar"
    digests = archiver.bucket.get(archiver.bucket.key(month.location), tarball, limit=month.size)
    if (digests.size, digests.sha256) != (month.size, month.sha256):
        raise _damaged(month.location, digests, month.size, month.sha256)
    paths = [_file(archiver, month_slice, work) for month_slice in slices]
    with tarball.open("rb") as source:
        for month_slice, path in zip(slices, paths, strict=True):
            _cut(source, month_slice, path)
    tarball.unlink()
    return paths


def _cut(source: IO[bytes], month_slice: Slice, path: Path) -> None:
    source.seek(month_slice.start)
    with path.open("wb") as out:
        for begin in range(0, month_slice.size, JOIN):
            out.write(source.read(min(JOIN, month_slice.size - begin)))


def fetch(archiver: Archiver, month_slice: Slice, work: Path) -> Path:
    """Fetch a single slice; raise DamagedError unless it is what was stored."""
    path, position = (
        _file(archiver, month_slice, work),
        f"{month_slice.month.location} ({month_slice.size} bytes from {month_slice.start})",
    )
    digests = archiver.bucket.get(
        archiver.bucket.key(month_slice.month.location),
        path,
        range(month_slice.start, month_slice.start + month_slice.size),
        limit=month_slice.size,
    )
    if (digests.size, digests.sha256) != (month_slice.size, month_slice.sha256):
        raise _damaged(position, digests, month_slice.size, month_slice.sha256)
    return path


def refuse_unless_stored(archiver: Archiver, month: Month) -> None:
    """Raise DamagedError or StorageError unless the store has the object as it was put; nothing is kept."""
    digests = archiver.bucket.digests(archiver.bucket.key(month.location), month.size or 0)
    if (digests.size, digests.sha256) != (month.size, month.sha256):
        raise _damaged(month.location, digests, month.size, month.sha256)


def all_or_lost(
    archiver: Archiver, reads: Iterable[tuple[Month, Callable[[], Read]]], without: Callable[[str], str]
) -> list[Read]:
    """Read something of each month and return it; raise one error for all whose objects are lost.

    It is DamagedError or StorageError. `without` returns what to add to its hint: how to do without these months.
    """
    done: list[Read] = []
    lost: dict[str, CutoverError] = {}
    for month, read in reads:
        try:
            done.append(read())
        except (DamagedError, StorageError) as error:
            if not (isinstance(error, DamagedError) or is_lost(archiver, month)):
                raise  # the store may answer the next time
            lost.setdefault(month.month, error)
    if lost:
        first = next(iter(lost.values()))
        sentence = " ".join(dict.fromkeys(map(str, lost.values())))
        raise type(first)(sentence, hint=first.hint + without(",".join(sorted(lost))))
    return done


def is_lost(archiver: Archiver, month: Month) -> bool:
    """True if the store has no such object, or one of another size. Raises StorageError if it can't be asked."""
    stored = archiver.bucket.object(archiver.bucket.key(month.location))
    return stored is None or stored.size != month.size


def belongs_to(archive: Archive, month_slice: Slice) -> None:
    """Raise DamagedError unless an archive is this slice of this month."""
    manifest = archive.manifest
    if (manifest.tenant_id, manifest.month, manifest.shard) != (
        month_slice.tenant_id,
        month_slice.month.month,
        month_slice.month.shard,
    ):
        raise DamagedError(
            f"{archive.name} is of {manifest.noun} {manifest.tenant_id}, {manifest.month}, {manifest.shard}; "
            f"the record says {month_slice.tenant_id}, {month_slice.month.month}, {month_slice.month.shard}. "
            "Nothing was changed."
        )


def _file(archiver: Archiver, month_slice: Slice, work: Path) -> Path:
    """Return the path of a slice in the work folder."""
    folder = work / f"fetched-{month_slice.id}-{layout.path_part(month_slice.tenant_id)}"
    folder.mkdir(exist_ok=True)
    return folder / month_slice.name(archiver.model.tenant.noun)


def _damaged(subject: str, digests: Digests, size: int | None, sha256: str | None) -> DamagedError:
    return DamagedError(
        f"{subject} is not what was stored: {digests.size} bytes with SHA-256 {digests.sha256[:12]}…, the record says "
        f"{size} bytes with {str(sha256)[:12]}…. Nothing was changed.",
        hint="The object was cut off, altered or swapped. Look for an older version of it in the store.",
    )
