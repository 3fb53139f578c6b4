"""A month's archive encrypted to today's recipients: each slice by itself, all of them in a new object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from archiver.format import encryption, layout
from archiver.records import audit_log, month_record, slice_record
from archiver.records.archive_record import ArchiveState
from archiver.records.month_record import Month
from archiver.records.slice_record import Slice
from archiver.runs import month_object
from archiver.runs.context import Archiver, new_extraction
from archiver.runs.tarballs import plain, unequal
from archiver.store.bucket import Digests, file_digests
from errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class _ReencryptedSlice:
    """A slice, encrypted anew."""

    content: Digests  # of its plain bytes
    path: Path
    digests: Digests


def reencrypt_month(archiver: Archiver, month: Month, work: Path) -> Month:
    """Fetch, open, encrypt, store, fetch back and prove; then the record moves to the new object, with the log.

    Raises RefusedError where the month was cut off; the caller keeps everybody else off.
    """
    if month.state is not ArchiveState.ARCHIVED:
        raise RefusedError(
            f"The archive {month.location} is {month.state.value}, by a run that was cut off.",
            hint="End that first: inv activity.archive",
        )
    earlier = slice_record.of_archive(archiver.databases.master, month)
    sealed = [
        _seal(archiver, path, work)
        for path in month_object.fetch_all(archiver, month, earlier, _folder(work, "earlier"))
    ]
    moved, now = _store(archiver, month, earlier, sealed, work)
    for one, path in zip(sealed, month_object.fetch_all(archiver, moved, now, _folder(work, "fetched")), strict=True):
        if plain(path, archiver.keys, work / "plain") != one.content:
            raise unequal(moved.location, month.location)
    return _move(archiver, month, moved, now)


def _folder(work: Path, name: str) -> Path:
    folder = work / name
    folder.mkdir()
    return folder


def _seal(archiver: Archiver, path: Path, work: Path) -> _ReencryptedSlice:
    opened = path.with_name(path.name.removesuffix(layout.ENCRYPTED))
    content = plain(path, archiver.keys, opened)
    sealed = encryption.encrypt(opened, archiver.keys)
    return _ReencryptedSlice(content=content, path=sealed, digests=file_digests(sealed))


def _store(
    archiver: Archiver, month: Month, earlier: Sequence[Slice], sealed: Sequence[_ReencryptedSlice], work: Path
) -> tuple[Month, list[Slice]]:
    """The new object, and its record and slices as they shall be."""
    key, path = layout.month_key(month.month, month.shard, new_extraction()), work / "anew.tar"
    starts = month_object.join(sealed, path, month_object.readme(archiver.model.tenant.noun, month.month, month.shard))
    digests = file_digests(path)
    archiver.bucket.put(key, path, digests)
    location, recipients = archiver.bucket.location(key), archiver.keys.recipients
    moved = replace(month, location=location, recipients=recipients, **asdict(digests))
    now = [
        replace(one, month=moved, start=start, size=new.digests.size, sha256=new.digests.sha256)
        for one, start, new in zip(earlier, starts, sealed, strict=True)
    ]
    return moved, now


def _move(archiver: Archiver, month: Month, moved: Month, now: Sequence[Slice]) -> Month:
    """Moves the record to the new object, and every slice to its place there, together with the log."""
    master = archiver.databases.master
    with master.transaction(doing=f"moving the record of {month.month} of {month.shard}"):
        written = month_record.reencrypted(master, moved)
        for one in now:
            slice_record.reencrypted(master, one)
            details = {"month": month.month, "from": month.location, "to": moved.location}
            audit_log.log(
                master, "rewrap activity", one, {**details, "recipients": moved.recipients, "sha256": one.sha256}
            )
    return written
