"""Re-verify stored archives: fetch, restore into the scratch database, compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from archiver.format.encryption import refuse_if_closed
from archiver.format.spool_folder import work_folder
from archiver.runs.context import Archiver
from archiver.runs.each import Done, Outcome, for_each
from archiver.runs.kind import ArchiveOfKind

Reverified = Outcome[ArchiveOfKind, None]
OnReverified = Callable[[Reverified], None]


def longest_unverified(archives: Iterable[ArchiveOfKind], sample: int | None) -> Sequence[ArchiveOfKind]:
    """Return the archives by their last verification, oldest first; at most `sample`, or all."""
    by_proof = sorted(archives, key=lambda each: each.record.proved_at or each.record.started_at)
    return by_proof[:sample]


def reverify(archiver: Archiver, archives: Sequence[ArchiveOfKind], on_result: OnReverified) -> list[Reverified]:
    """Re-verify archives. One that fails is reported; the others continue. `on_result` is called with each outcome.

    Raises UsageError if one is encrypted and no identity was given.
    """
    refuse_if_closed((each.openable_name for each in archives), archiver.keys)
    return for_each(archives, lambda each: _reverify(archiver, each), on_result, databases=archiver.databases)


def _reverify(archiver: Archiver, archive: ArchiveOfKind) -> Done[None]:
    with work_folder(archiver.work) as work:
        rows = archive.kind.prove(archiver, archive.record, work)
    return Done(rows=rows, size=archive.record.size or 0, detail=None)
