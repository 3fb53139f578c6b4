"""Re-encrypt a month's archive to the current recipients: each slice by itself, all in a new object."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archiver.format import encryption, layout
from archiver.records import audit_log
from archiver.records.month_record import Month
from archiver.runs import rewrite_month
from archiver.runs.context import Archiver
from archiver.runs.rewrite_month import Rewritten, SliceFile
from archiver.runs.tarballs import plain, unequal
from archiver.store.bucket import Digests, file_digests


@dataclass(frozen=True, kw_only=True)
class _ReencryptedSlice(SliceFile):
    """A re-encrypted slice."""

    content: Digests  # of the plain tarball


def reencrypt_month(archiver: Archiver, month: Month, work: Path) -> None:
    """Fetch, decrypt, encrypt, store, fetch back and verify; then point the record to the new object, with a log entry.

    The caller holds the lock.
    """
    encrypted = [_encrypt(archiver, each) for each in rewrite_month.fetch_slices(archiver, month, work)]
    rewritten = rewrite_month.store(archiver, month, archiver.keys.recipients, encrypted, work)
    for each, path in zip(encrypted, rewritten.fetched, strict=True):
        if plain(path, archiver.keys, work / "plain") != each.content:
            raise unequal(rewritten.month.location, month.location)
    _move(archiver, month, rewritten)


def _encrypt(archiver: Archiver, fetched: SliceFile) -> _ReencryptedSlice:
    opened = fetched.path.with_name(fetched.path.name.removesuffix(layout.ENCRYPTED))
    content = plain(fetched.path, archiver.keys, opened)
    path = encryption.encrypt(opened, archiver.keys)
    return _ReencryptedSlice(slice=fetched.slice, content=content, path=path, digests=file_digests(path))


def _move(archiver: Archiver, month: Month, rewritten: Rewritten) -> None:
    """Point the record and every slice to the new object, together with log entries."""
    master, moved, slices = archiver.databases.master, rewritten.month, rewritten.slices
    with master.transaction(doing=f"moving the record of {month.month} of {month.shard}"):
        rewrite_month.point_to(archiver.databases, rewritten)
        details = {"month": month.month, "from": month.location, "to": moved.location, "recipients": moved.recipients}
        audit_log.log_all(master, "rewrap activity", slices, [{**details, "sha256": each.sha256} for each in slices])
