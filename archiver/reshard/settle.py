"""What a move that was cut off has left: taken back while master names the source, brought to its end afterwards."""

from __future__ import annotations

from archiver.catalog.model import SHARD
from archiver.delete.delete import delete
from archiver.records import move_record
from archiver.records.id_offsets import Offsets
from archiver.records.move_record import Move, MoveState
from archiver.reshard.shard_rows import ShardRows, counts, differences, shard_rows
from archiver.runs.context import Archiver
from errors import RefusedError


def withdraw(archiver: Archiver, left: Move) -> None:
    """Takes a tenant's copy out of the target, and the move back: master still names the source.

    Raises RefusedError where the copy is not what was loaded.
    """
    if left.state is MoveState.LOADING:
        here = shard_rows(archiver.databases.placement(left.source), archiver.model, left.tenant_id)
        _empty(archiver, here.on(archiver.databases.placement(left.target)), left, left.target, left.offsets)
    move_record.withdrawn(archiver.databases.master, left)


def end(archiver: Archiver, switched: Move) -> None:
    """Empties the source of a tenant that master says is in the target, and ends the move.

    Raises RefusedError where rows there are not those that were moved: they stay, and the move remains open.
    """
    here = shard_rows(archiver.databases.placement(switched.source), archiver.model, switched.tenant_id)
    _empty(archiver, here, switched, switched.source, ())
    move_record.moved(archiver.databases.master, switched)


def _empty(archiver: Archiver, one: ShardRows, move: Move, shard: str, offsets: Offsets) -> None:
    """Deletes a tenant's rows from one shard, proved to be those of the archive; harmless where there are none."""
    who = f"{archiver.model.tenant.noun} {move.tenant_id}"
    with one.session.transaction(doing=f"taking {who} out of {shard}"):
        rows = one.rows(locked=True)
        if not counts(rows):
            return
        if changed := differences(one, rows, move.members, offsets):
            raise RefusedError(
                f"Taking {who} out of {shard} refused: its rows there are not those that were moved: "
                f"{', '.join(changed)}.",
                hint=f"They stay. Compare them with {move.location}, then run: {move.route.command}",
            )
        delete(one.placement, one.model, SHARD, rows.by_table)
