"""Re-encrypt a month's archive to the current recipients: each slice by itself, all in a new object."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from archiver.format import encryption, layout
from archiver.records import audit_log, month_record, slice_record
from archiver.records.month_record import Month
from archiver.records.slice_record import Slice
from archiver.records.state import State
from archiver.runs import month_object
from archiver.runs.context import Archiver, new_extraction
from archiver.runs.tarballs import plain, unequal
from archiver.store.bucket import Digests, file_digests
from errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class _ReencryptedSlice:
    """A re-encrypted slice."""

    content: Digests  # of the plain tarball
    path: Path
    digests: Digests


def reencrypt_month(archiver: Archiver, month: Month, work: Path) -> Month:
    """Fetch, decrypt, encrypt, store, fetch back and verify; then point the record to the new object, with a log entry.

    Raises RefusedError if the month's run was interrupted. The caller holds the lock.
    """
    if month.state is not State.ARCHIVED:
        raise RefusedError(
            f"The archive {month.location} is {month.state.value}, by a run that was interrupted.",
            hint="Finish that first: inv activity.archive",
        )
    earlier = slice_record.of_archive(archiver.databases.master, month)
    encrypted = [
        _encrypt(archiver, path, work)
        for path in month_object.fetch_all(archiver, month, earlier, _folder(work, "earlier"))
    ]
    moved, slices = _store(archiver, month, earlier, encrypted, work)
    for each, path in zip(
        encrypted, month_object.fetch_all(archiver, moved, slices, _folder(work, "fetched")), strict=True
    ):
        if plain(path, archiver.keys, work / "plain") != each.content:
            raise unequal(moved.location, month.location)
    return _move(archiver, month, moved, slices)


def _folder(work: Path, name: str) -> Path:
    folder = work / name
    folder.mkdir()
    return folder


def _encrypt(archiver: Archiver, path: Path, work: Path) -> _ReencryptedSlice:
    opened = path.with_name(path.name.removesuffix(layout.ENCRYPTED))
    content = plain(path, archiver.keys, opened)
    encrypted = encryption.encrypt(opened, archiver.keys)
    return _ReencryptedSlice(content=content, path=encrypted, digests=file_digests(encrypted))


def _store(
    archiver: Archiver, month: Month, earlier: Sequence[Slice], encrypted: Sequence[_ReencryptedSlice], work: Path
) -> tuple[Month, list[Slice]]:
    """Store the new object; return its record and slices, not yet written."""
    key, path = layout.month_key(month.month, month.shard, new_extraction()), work / "anew.tar"
    starts = month_object.join(
        encrypted, path, month_object.readme(archiver.model.tenant.noun, month.month, month.shard)
    )
    digests = archiver.bucket.put(key, path, file_digests(path))
    location, recipients = archiver.bucket.location(key), archiver.keys.recipients
    moved = replace(month, location=location, recipients=recipients, **asdict(digests))
    slices = [
        replace(each, month=moved, start=start, size=replacement.digests.size, sha256=replacement.digests.sha256)
        for each, start, replacement in zip(earlier, starts, encrypted, strict=True)
    ]
    return moved, slices


def _move(archiver: Archiver, month: Month, moved: Month, slices: Sequence[Slice]) -> Month:
    """Point the record and every slice to the new object, together with log entries."""
    master = archiver.databases.master
    with master.transaction(doing=f"moving the record of {month.month} of {month.shard}"):
        written = month_record.reencrypted(master, moved)
        for each in slices:
            slice_record.reencrypted(master, each)
        details = {"month": month.month, "from": month.location, "to": moved.location, "recipients": moved.recipients}
        audit_log.log_all(master, "rewrap activity", slices, [{**details, "sha256": each.sha256} for each in slices])
    return written
