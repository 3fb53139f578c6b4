"""Settle an interrupted move: withdraw it while master names the source, complete it afterwards."""

from __future__ import annotations

from archiver.catalog.model import SHARD
from archiver.completeness.recheck import recheck
from archiver.delete.delete import delete
from archiver.postgres.account import accounted
from archiver.records import move_record
from archiver.records.id_offsets import Offsets
from archiver.records.move_record import Move, MoveState
from archiver.reshard.shard_rows import ShardRows, counts, differences, shard_rows
from archiver.runs.context import Archiver
from archiver.store.standing import prove_stored
from errors import RefusedError


def withdraw(archiver: Archiver, left: Move) -> None:
    """Remove a tenant's copy from the target, and withdraw the move: master still names the source.

    Raises RefusedError if the copy is not what was loaded.
    """
    if left.state is MoveState.LOADING:
        source_rows = shard_rows(archiver.databases.placement(left.source), archiver.model, left.tenant_id)
        _empty(archiver, source_rows.on(archiver.databases.placement(left.target)), left, left.target, left.offsets)
    move_record.withdrawn(archiver.databases.master, left)


def end(archiver: Archiver, switched: Move) -> None:
    """Empty the source of a tenant that master places on the target, and complete the move.

    Raises RefusedError if the rows there are not those that were moved: they stay, and the move remains open.
    """
    source_rows = shard_rows(archiver.databases.placement(switched.source), archiver.model, switched.tenant_id)
    _empty(archiver, source_rows, switched, switched.source, ())
    move_record.moved(archiver.databases.master, switched)


def _empty(archiver: Archiver, tenant_rows: ShardRows, move: Move, shard: str, offsets: Offsets) -> None:
    """Delete a tenant's rows from one shard if they are the archive's; do nothing if there are none."""
    who = f"{archiver.model.tenant.noun} {move.tenant_id}"
    with (
        tenant_rows.session.transaction(doing=f"deleting {who} from {shard}"),
        accounted(tenant_rows.session, "Deleting", tenant_rows.model.written_besides(SHARD)) as account,
    ):
        recheck(tenant_rows.placement, archiver.model, [SHARD])
        rows = tenant_rows.rows(locked=True)
        if not counts(rows):
            return
        if changed := differences(tenant_rows, rows, move.members, offsets):
            raise RefusedError(
                f"Deleting {who} from {shard} refused: its rows there are not those that were moved: "
                f"{', '.join(changed)}.",
                hint=f"They stay. Compare them with {move.location}, then run: {move.route.command}",
            )
        delete(tenant_rows.placement, tenant_rows.model, SHARD, rows.by_table, account)
        if shard == move.source:  # else it is a copy, which the source still holds
            prove_stored(archiver.bucket, move)
