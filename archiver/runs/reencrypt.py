"""Re-encrypt archives to the current recipients: a new object each, verified before the record points to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from archiver.format import encryption
from archiver.format.encryption import Keys
from archiver.format.spool_folder import work_folder
from archiver.runs.context import Archiver
from archiver.runs.each import Done, Outcome, for_each
from archiver.runs.kind import ArchiveOfKind, still_archived
from errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Reencryption:
    """The result of re-encrypting one archive."""

    archive: ArchiveOfKind  # as it is recorded now
    superseded: str = ""  # location of the earlier object, which is kept; empty if nothing changed


Reencrypted = Outcome[ArchiveOfKind, Reencryption]
OnReencrypted = Callable[[Reencrypted], None]


def reencrypt(archiver: Archiver, archives: Sequence[ArchiveOfKind], on_result: OnReencrypted) -> list[Reencrypted]:
    """Re-encrypt archives to the current recipients. One that fails stays as it is and is reported; others continue.

    Raises UsageError if the inventory has no recipients, or an archive is encrypted and no identity was given. The
    caller holds the locks. `on_result` is called with each outcome.
    """
    if not archiver.keys.recipients:
        raise UsageError(
            "The inventory has no recipients to encrypt to.", hint="Add them:  store: {recipients: [age1…]}"
        )
    due = (each for each in archives if not _up_to_date(archiver.keys, each))
    encryption.refuse_if_closed((each.openable_name for each in due), archiver.keys)
    return for_each(archives, lambda each: _reencrypt(archiver, each), on_result, databases=archiver.databases)


def _up_to_date(keys: Keys, archive: ArchiveOfKind) -> bool:
    return set(archive.record.recipients) == set(keys.recipients)


def _reencrypt(archiver: Archiver, archive: ArchiveOfKind) -> Done[Reencryption]:
    now = still_archived(archiver, archive)
    if _up_to_date(archiver.keys, now):
        return Done(detail=Reencryption(archive=now))
    with work_folder(archiver.work) as work:
        moved = replace(now, record=now.kind.reencrypt(archiver, now.record, work))
    return Done(size=moved.record.size or 0, detail=Reencryption(archive=moved, superseded=now.record.location))
