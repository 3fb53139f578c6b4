"""Settle what a set-back database left, before a run begins or writes anything: markers are asked in every state."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from contextlib import suppress

from archiver.checks.unreferenced import unnamed_objects
from archiver.postgres.databases import Databases
from archiver.records import archive_record, markers, month_record
from archiver.records.archive_record import Record
from archiver.records.markers import DELETED
from archiver.records.open_markers import Contradiction, OpenMarker, open_markers
from archiver.runs.context import Archiver
from errors import LockedError, RefusedError

_LISTED = 5  # objects of the store that a refusal names


def settle(archiver: Archiver, shards: Collection[str], *, pretend: bool = False) -> None:
    """Set records to `deleting` whose deletion a shard committed; raise RefusedError if master has no record of it.

    Every run calls it once, under its locks and before it begins or writes anything. Databases are set back only while
    no session is open, so once is enough. `shards` are those the run works on; a pretended run writes nothing.
    """
    databases = archiver.databases
    if not _open(databases):
        return
    contradicted = _open(databases)  # what a run was just about to write is there by now
    refused = [
        each for each in contradicted if each.contradiction is not Contradiction.UNDONE and each.marker.shard in shards
    ]
    if refused:
        raise _refusal(archiver, refused)
    if not pretend:
        _advance(databases, [each for each in contradicted if each.contradiction is Contradiction.UNDONE])


def _open(databases: Databases) -> list[OpenMarker]:
    return open_markers(databases.master, {name: databases.session(name) for name in databases.shards})


def _advance(databases: Databases, contradicted: Iterable[OpenMarker]) -> None:
    """Write that these deletions have begun, as their records said before master was set back."""
    for each in contradicted:
        if each.marker.tenant_id is not None:
            month_record.deletion_had_begun(databases.master, each.marker.record_id)
            continue
        for record in archive_record.of_ids(databases.master, [each.marker.record_id]):
            _refuse_without_members(each, record)
            # Another run that holds the tenant's lock settles it itself.
            with (
                suppress(LockedError),
                databases.tenant_lock(databases.model.tenant.noun, record.tenant_id, record.shard),
            ):
                if markers.read(databases.session(each.marker.shard), record, DELETED) is not None:
                    archive_record.deletion_had_begun(databases.master, record)


def _refuse_without_members(open_marker: OpenMarker, record: Record) -> None:
    """Raise RefusedError if master was set back so far that its record does not say what is in the archive."""
    if not record.members:
        raise RefusedError(
            f"{open_marker.marker.shard} shows that the record of {record.location} was deleting; in master it is "
            f"{record.state.value}: master was set back. That archive holds the rows. Nothing was changed.",
            hint="Restore master from a later backup.",
        )


def _refusal(archiver: Archiver, contradicted: Collection[OpenMarker]) -> RefusedError:
    """Return the error for deletions that master knows nothing of; it names the archives that may hold the rows."""
    first = min(contradicted, key=lambda each: each.marker.at)
    shard, moment = first.marker.shard, f"{first.marker.at:%Y-%m-%d %H:%M:%S} UTC"
    more = f", and {len(contradicted) - 1} more" if len(contradicted) > 1 else ""
    if first.contradiction is Contradiction.RESTORED:
        return RefusedError(
            f"{shard} was set back: it shows a deletion of {moment}{more} that was restored since. "
            f"{first.location} holds the rows. Nothing was changed.",
            hint=f"Restore {shard} from a later backup, or load that archive as its README explains.",
        )
    return RefusedError(
        f"{shard} shows a deletion of {moment}{more} that master has no record of: master was set back. "
        f"Archives that no record names: {_unnamed(archiver)}. Nothing was changed.",
        hint="Restore master from a later backup. All such archives: inv archive.list --unreferenced",
    )


def _unnamed(archiver: Archiver) -> str:
    """Return the newest archives that no record names, as text."""
    stored = sorted(unnamed_objects(archiver.bucket, archiver.databases), key=lambda each: each.modified, reverse=True)
    more = f" and {len(stored) - _LISTED} more" if len(stored) > _LISTED else ""
    return (", ".join(each.location for each in stored[:_LISTED]) or "none") + more
