"""Settle what a set-back database left, before a run begins or writes anything: markers are asked in every state."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress

from archiver.catalog.model import SHARD
from archiver.checks.unreferenced import unnamed_objects
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.selection import select
from archiver.records import archive_record, markers, month_record, move_record
from archiver.records.archive_record import Record
from archiver.records.markers import DELETED, MOVED_IN, MOVED_OUT
from archiver.records.move_record import Move
from archiver.records.open_markers import Contradiction, OpenMarker, open_markers
from archiver.records.state import State
from archiver.runs.context import Archiver
from errors import LockedError, RefusedError, UsageError

_LISTED = 5  # objects of the store that a refusal names


def settle(archiver: Archiver, shards: Collection[str], *, pretend: bool = False) -> None:
    """Set records to `deleting` whose deletion a shard committed; raise RefusedError if master has no record of it.

    Every run calls it once, under its locks and before it begins or writes anything. Databases are set back only while
    no session is open, so once is enough. `shards` are those the run works on; a pretended run writes nothing.
    """
    databases = archiver.databases
    _refuse_lost_moves(databases, shards)
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


@contextmanager
def asking_markers(archiver: Archiver) -> Iterator[None]:
    """If the block finds that there is no such record or tenant, ask the markers: a set-back master has lost both.

    Raises RefusedError then, which names the archives, in place of the UsageError.
    """
    try:
        yield
    except UsageError:
        settle(archiver, archiver.databases.shards, pretend=True)
        raise


def _refuse_lost_moves(databases: Databases, shards: Collection[str]) -> None:
    """Raise RefusedError if the target or the source of a move was set back behind it.

    The target then has neither the marker nor a row of the tenant; the source has no marker, and the rows once more.
    """
    moves = [each for each in move_record.last_marked(databases.master) if any(each.rows.values())]
    concerned = [each for each in moves if not {each.source, each.target}.isdisjoint(shards)]
    for move in _unmarked(databases, [each for each in concerned if each.target in shards], MOVED_IN):
        if _names(databases, move) and not _holds_a_row(databases, move, move.target):
            raise RefusedError(
                f"{move.target} holds no row of {databases.model.tenant.noun} {move.tenant_id}, which was moved there: "
                f"it was set back. {move.location} holds the rows. Nothing was changed.",
                hint=f"Restore {move.target} from a later backup, or load that archive as its README explains.",
            )
    for move in _unmarked(databases, [each for each in concerned if each.state is State.MOVED], MOVED_OUT):
        if _names(databases, move) and _holds_a_row(databases, move, move.source):
            raise RefusedError(
                f"{move.source} holds rows of {databases.model.tenant.noun} {move.tenant_id} again, which was moved to "
                f"{move.target}: it was set back. {move.target} has them, and so has {move.location}. "
                "Nothing was changed.",
                hint=f"Restore {move.source} from a later backup, or delete these rows there.",
            )


def _unmarked(databases: Databases, moves: Collection[Move], act: str) -> Iterator[Move]:
    """Yield the moves of which the target, or the source, has no marker; only shards of the inventory are asked."""
    for shard in databases.shards:
        on_shard = [move for move in moves if (move.target if act == MOVED_IN else move.source) == shard]
        missing = set(markers.without(databases.session(shard), on_shard, act)) if on_shard else set[int]()
        yield from (move for move in on_shard if move.id in missing)


def _names(databases: Databases, move: Move) -> bool:
    """True if master names the target of a move as the tenant's shard."""
    tenant = tenants.tenant(databases.master, databases.model.tenant, move.tenant_id)
    return tenant is not None and tenant.shard == move.target


def _holds_a_row(databases: Databases, move: Move, shard: str) -> bool:
    """True if a shard holds a row of a move's tenant."""
    selection = select(databases.placement(shard), databases.model, move.tenant_id)
    return any(rows.rows for table, rows in selection.by_table.items() if table.database == SHARD)


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
                databases.tenant_lock(record.tenant_id, record.shard),
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
    """Return the error for deletions that master knows nothing of; it names the archives that hold the rows."""
    first = min(contradicted, key=lambda each: each.marker.at)
    shard, moment = first.marker.shard, f"{first.marker.at:%Y-%m-%d %H:%M:%S} UTC"
    more = f", and {len(contradicted) - 1} more" if len(contradicted) > 1 else ""
    archives = f"{_holding(archiver, contradicted)}. Nothing was changed."
    all_archives = "All such archives: inv archive.list --unreferenced"
    if first.contradiction is Contradiction.RESTORED:
        return RefusedError(
            f"{shard} was set back: it shows a deletion of {moment}{more} that was restored since. {archives}",
            hint=f"Restore {shard} from a later backup, or load them as their README explains. {all_archives}",
        )
    act = "move" if first.marker.act in (MOVED_IN, MOVED_OUT) else "deletion"
    return RefusedError(
        f"{shard} shows a {act} of {moment}{more} that master has no record of: master was set back. {archives}",
        hint=f"Restore master from a later backup. {all_archives}",
    )


def _holding(archiver: Archiver, contradicted: Collection[OpenMarker]) -> str:
    """Return the archives of these deletions, as text; markers of older versions do not name theirs."""
    in_order = sorted(contradicted, key=lambda each: each.marker.at)
    locations = [*dict.fromkeys(each.location for each in in_order if each.location)]
    holding = []
    if locations:
        more = f" and {len(locations) - _LISTED} more" if len(locations) > _LISTED else ""
        holding.append(f"{', '.join(locations[:_LISTED])}{more} {'hold' if len(locations) > 1 else 'holds'} the rows")
    if not all(each.location for each in contradicted):
        holding.append(f"No record names: {_unnamed(archiver)}")
    return ". ".join(holding)


def _unnamed(archiver: Archiver) -> str:
    """Return the newest archives that no record names, as text."""
    stored = sorted(unnamed_objects(archiver.bucket, archiver.databases), key=lambda each: each.modified, reverse=True)
    more = f" and {len(stored) - _LISTED} more" if len(stored) > _LISTED else ""
    return (", ".join(each.location for each in stored[:_LISTED]) or "none") + more
