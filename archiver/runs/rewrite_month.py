"""Write a month's object anew under a new key, verify it, and point its record there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from archiver.format import layout
from archiver.postgres.databases import Databases
from archiver.records import archives, markers, slice_record
from archiver.records.month_record import Month
from archiver.records.slice_record import Slice
from archiver.records.state import Kind, State
from archiver.runs import month_object
from archiver.runs.context import Archiver, new_extraction
from archiver.runs.tarballs import unequal
from archiver.store.bucket import Digests, file_digests
from errors import DamagedError, RefusedError


@dataclass(frozen=True, kw_only=True)
class SliceFile:
    """A slice in the work folder: as it was fetched, or as it goes into the new object."""

    slice: Slice  # as it is recorded
    path: Path
    digests: Digests  # of the file


@dataclass(frozen=True, kw_only=True)
class Rewritten:
    """A new object that is stored and verified, while the record still points to the earlier one."""

    month: Month
    slices: tuple[Slice, ...]
    fetched: tuple[Path, ...]  # each slice, as it came back from the store


def refuse_unfinished(month: Month) -> None:
    """Raise RefusedError if the month's run was interrupted."""
    if month.state is not State.ARCHIVED:
        raise RefusedError(
            f"The archive {month.location} is {month.state.value}, by a run that was interrupted.",
            hint="Finish that first: inv activity.archive",
        )


def fetch_slices(archiver: Archiver, month: Month, work: Path) -> list[SliceFile]:
    """Fetch every slice of a month; raise DamagedError unless each is what was stored."""
    slices = slice_record.of_archive(archiver.databases.master, month)
    paths = month_object.fetch_all(archiver, month, slices, _folder(work, "earlier"))
    files = [
        SliceFile(slice=each, path=path, digests=file_digests(path)) for each, path in zip(slices, paths, strict=True)
    ]
    for file in files:
        if file.digests.sha256 != file.slice.sha256:
            raise DamagedError(
                f"{month.location} holds other bytes of {file.path.name} than its record says. Nothing was changed.",
                hint="Was archiver.members changed by hand? Set start, size and sha256 back.",
            )
    return files


def store(
    archiver: Archiver, month: Month, recipients: tuple[str, ...], files: Sequence[SliceFile], work: Path
) -> Rewritten:
    """Store a new object of these slices, fetch it back and compare. Raise DamagedError if it differs."""
    key, path = layout.month_key(month.month, month.shard, new_extraction()), work / "anew.tar"
    text = month_object.readme(archiver.model.tenant.noun, month.month, month.shard)
    starts = month_object.join(files, path, text)
    stored = archiver.bucket.put(key, path, file_digests(path))
    moved = replace(month, location=archiver.bucket.location(key), recipients=recipients, **asdict(stored))
    slices = tuple(
        replace(each.slice, month=moved, start=start, size=each.digests.size, sha256=each.digests.sha256)
        for each, start in zip(files, starts, strict=True)
    )
    fetched = month_object.fetch_all(archiver, moved, slices, _folder(work, "fetched"))
    if [file_digests(each) for each in fetched] != [each.digests for each in files]:
        raise unequal(moved.location, month.location)
    return Rewritten(month=moved, slices=slices, fetched=tuple(fetched))


def point_to(databases: Databases, rewritten: Rewritten) -> None:
    """Point markers, then the record and each slice to the new object. Call it in the log entry's transaction."""
    master, acts = databases.master, [each.deletion_act for each in rewritten.slices]
    markers.relocate(databases, rewritten.month, acts)
    archives.rewritten(master, Kind.MONTH, rewritten.month)
    for each in rewritten.slices:
        slice_record.rewritten(master, each)


def _folder(work: Path, name: str) -> Path:
    folder = work / name
    folder.mkdir()
    return folder
