"""Settle an interrupted move: take it back while the source is seen to hold the rows, else end it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from archiver.catalog.model import MASTER, SHARD
from archiver.completeness.recheck import recheck
from archiver.delete.commit import Accounts, Recorded, Transaction, delete_and_commit
from archiver.delete.delete import delete
from archiver.delete.unchanged import prove_shape
from archiver.postgres.account import Account, accounted
from archiver.postgres.counters import Changes
from archiver.postgres.schema import identifier
from archiver.postgres.selection import Selection, select
from archiver.postgres.session import SQL, Identifier, Literal
from archiver.postgres.tenants import has_key
from archiver.records import audit_log, markers, move_record, shard_keys
from archiver.records.id_offsets import Offsets
from archiver.records.markers import MOVED_IN, MOVED_OUT
from archiver.records.move_record import Move, plain_offsets
from archiver.records.settlement import Seen, Settlement, seen, settlement
from archiver.records.state import Kind, State
from archiver.reshard.shard_rows import ShardRows, counts, differences, shard_rows
from archiver.runs.context import Archiver
from errors import RefusedError


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A move that is complete."""

    move: Move
    late: Mapping[str, int]  # by table: rows on the source that were added after the proof; they stay there


@dataclass(frozen=True, kw_only=True)
class _Side:
    """A tenant's rows on one shard, locked, and whether they are the archive's."""

    tenant_rows: ShardRows
    rows: Selection
    changed: list[str]  # tables whose rows are not the archive's

    @property
    def empty(self) -> bool:
        """True if the shard holds no row of the tenant."""
        return not counts(self.rows)


def settle_move(archiver: Archiver, left: Move) -> Ended | None:
    """Withdraw an interrupted move, or end it: as its markers say, or the rows where these leave it open.

    The copy in the target is deleted only while the source is seen to hold the rows, locked and compared. Return the
    move if it was ended. Raises RefusedError, which names the archive, if neither shard holds the rows as they were
    read.
    """
    trace = _trace(archiver, left)
    if settlement(Kind.MOVE, left.state, trace) is Settlement.REFUSE:
        raise _forgotten(archiver, left, trace)
    if left.state is State.SWITCHED:
        return end(archiver, left)
    if left.members and not _taken_back(archiver, left):  # COMPARE is what is left: the rows decide
        return end(archiver, left)
    move_record.withdrawn(archiver.databases.master, left)
    return None


def end(archiver: Archiver, switched: Move, deleted: Selection | None = None) -> Ended:
    """Empty the source of a tenant that master places on the target, and complete the move.

    `deleted` are the rows that were deleted from the source just before.

    Raises RefusedError if the rows there are not those that were moved, or the target does not hold them: they stay,
    and the move remains open.
    """
    source, target = _both(archiver, switched)

    def record(rows: Selection) -> Recorded[Selection]:
        if counts(rows):
            remember(archiver, switched, source, rows)
            markers.write(source.session, switched, MOVED_OUT, marker_content(archiver, switched))
        return Recorded(result=rows, bucket=archiver.bucket, archives=[switched] if counts(rows) else [])

    def prove(rows: Selection) -> None:
        _refuse_lost_target(archiver, switched, target)
        _refuse_changed(archiver, switched, switched.source, differences(source, rows, switched.members))

    locks = LeftRows(archiver=archiver, left=source, prove=prove)
    doing = f"deleting {_who(archiver, switched)} from {switched.source}"
    rows = delete_and_commit("Deleting", locks, [locks.transaction(doing)], record)
    move_record.moved(archiver.databases.master, switched)
    return Ended(move=switched, late=late_rows(source, deleted or rows))


@dataclass(frozen=True, kw_only=True)
class LeftRows:
    """The locks of a tenant's rows that an interrupted move left on one of its shards, in key order."""

    archiver: Archiver
    left: ShardRows
    prove: Callable[[Selection], None]  # raises RefusedError if the rows must stay

    def transaction(self, doing: str) -> Transaction:
        """Return the transaction on that shard."""
        written_besides = self.left.model.written_besides(SHARD)
        return Transaction(session=self.left.session, doing=doing, written_besides=written_besides)

    def lock(self) -> Selection:
        """Lock the rows, and return them."""
        recheck(self.left.placement, self.archiver.model, [SHARD])
        return self.left.rows(locked=True)

    def unchanged(self, rows: Selection) -> Selection:
        """Return the rows, if there are any that may be deleted."""
        if counts(rows):
            prove_shape(self.left.placement)
            self.prove(rows)
        return rows

    def delete(self, rows: Selection, accounts: Accounts) -> None:
        """Delete the rows."""
        delete(self.left.placement, self.left.model, SHARD, rows.by_table, accounts[self.left.session])


def marker_content(archiver: Archiver, move: Move) -> dict[str, Any]:
    """Return the content of a move's markers, by which it can be adopted. Call it once master names the target."""
    now = move_record.by_id(archiver.databases.master, move.id)
    route = {"verb": now.verb, "source": now.source, "target": now.target}
    return markers.located(now, {"tenant": now.tenant_id, **route, "offsets": plain_offsets(now.offsets)})


def remember(archiver: Archiver, move: Move, source: ShardRows, rows: Selection) -> None:
    """Write to the source the keys by which its rows were found, and of those deleted there: late rows name them."""
    shard, master = source.placement.schemas[SHARD], archiver.databases.schema(MASTER)
    inner = shard_keys.unenforced(source.model, shard)
    shard_keys.remember(source.session, shard, move, {link: rows.values[link] for link in inner})
    across = [link for link in source.link_values if len(link.columns) == 1]
    shard_keys.remember(source.session, master, move, {link: source.link_values[link] for link in across})


def late_rows(source: ShardRows, deleted: Selection) -> dict[str, int]:
    """Return the rows on the source that name deleted rows, by table: they were added since those were locked."""
    rows = select(source.placement, source.model, source.tenant_id, link_values=deleted.values)
    return counts(rows)


def switch(archiver: Archiver, loading: Move, account: Account) -> None:
    """Set the tenant's shard in master to the target; belongs in the transaction of the move.

    Raises RefusedError if the tenant is no longer on the source.
    """
    tenant, master = archiver.model.tenant, archiver.databases.master
    query = SQL("UPDATE {table} t SET {shard} = {target} WHERE {shard} = {source} AND {same}").format(
        table=identifier(tenant.table),
        shard=Identifier(str(tenant.shard)),
        target=Literal(loading.target),
        source=Literal(loading.source),
        same=has_key(tenant.key_columns, [loading.tenant_id]),
    )
    if master.execute(query, doing=f"writing the shard of {tenant.noun} {loading.tenant_id}") != 1:
        raise RefusedError(f"{tenant.noun.capitalize()} {loading.tenant_id} is no longer on {loading.source}.")
    account.declare(tenant.table, Changes(updated=1))
    details = {"from": loading.source, "to": loading.target, "rows": loading.rows, "sha256": loading.sha256}
    with account.bookkeeping():
        move_record.switched(master, loading)
        audit_log.log(master, "move", loading, details)


def _taken_back(archiver: Archiver, left: Move) -> bool:
    """Delete the copy in the target if the source holds the rows; else, if only the target does, name it in master."""
    source, target = _both(archiver, left)
    with source.session.rolled_back():
        on_source = _side(source, left, ())
        if not on_source.changed:
            _delete_copy(archiver, left, target)
            return True
        with target.session.rolled_back():
            return _without_source(archiver, left, on_source, _side(target, left, left.offsets))


def _without_source(archiver: Archiver, left: Move, source: _Side, target: _Side) -> bool:
    """Name the target in master if only it holds the rows; True if nothing was loaded, and so nothing is to be done."""
    if source.empty and not target.changed:
        master = archiver.databases.master
        with (
            master.transaction(doing=f"moving {_who(archiver, left)} in master"),
            accounted(master, "Moving", archiver.model.written_besides(MASTER)) as account,
        ):
            switch(archiver, left, account)
        return False
    marked = markers.read(source.tenant_rows.session, left, MOVED_OUT) is not None
    if source.empty or marked or not target.empty:
        raise _lost(archiver, left, source, target)
    return True  # the source's rows have changed since they were read


def _delete_copy(archiver: Archiver, left: Move, target: ShardRows) -> None:
    """Delete the rows from the target, with the marker that they were loaded; they must be what was loaded."""

    def prove(rows: Selection) -> None:
        _refuse_changed(archiver, left, left.target, differences(target, rows, left.members, left.offsets))

    def record(rows: Selection) -> Recorded[None]:
        markers.delete(target.session, left, MOVED_IN)
        return Recorded(result=None)  # the source holds the rows

    locks = LeftRows(archiver=archiver, left=target, prove=prove)
    transaction = locks.transaction(f"deleting {_who(archiver, left)} from {left.target}")
    delete_and_commit("Deleting", locks, [transaction], record)


def _side(tenant_rows: ShardRows, left: Move, offsets: Offsets) -> _Side:
    rows = tenant_rows.rows(locked=True)
    return _Side(tenant_rows=tenant_rows, rows=rows, changed=differences(tenant_rows, rows, left.members, offsets))


def _both(archiver: Archiver, move: Move) -> tuple[ShardRows, ShardRows]:
    """Return the tenant's rows on the source and on the target."""
    source = shard_rows(archiver.databases.placement(move.source), archiver.model, move.tenant_id)
    return source, source.on(archiver.databases.placement(move.target))


def _trace(archiver: Archiver, left: Move) -> Seen:
    """Return the trace that a move left on its shards."""
    sessions = (archiver.databases.session(shard) for shard in (left.target, left.source))
    return seen({act for session in sessions for act in markers.acts(session, left)})


def _forgotten(archiver: Archiver, left: Move, trace: Seen) -> RefusedError:
    """Return the error for a move that took place, and of which master does not even know the rows."""
    shard, moved = (left.source, "moved out") if trace is Seen.MOVED_OUT else (left.target, "moved in")
    return RefusedError(
        f"{shard} shows that {_who(archiver, left)} was {moved}, and master has no record of it: "
        f"master was set back. {left.location} holds the rows. Nothing was changed.",
        hint="Restore master from a later backup.",
    )


def _refuse_lost_target(archiver: Archiver, switched: Move, target: ShardRows) -> None:
    """Raise RefusedError if the target was set back behind the load: the source's rows are the only ones.

    Versions before wrote no marker; of their moves the rows are compared.
    """
    if markers.read(target.session, switched, MOVED_IN) is not None:
        return
    if differences(target, target.rows(), switched.members, switched.offsets):
        raise RefusedError(
            f"Deleting {_who(archiver, switched)} from {switched.source} refused: {switched.target} does not hold "
            f"the rows that were moved; it was set back. {switched.location} and {switched.source} hold them.",
            hint=f"Restore {switched.target} from a later backup, then run: {switched.route.command}",
        )


def _refuse_changed(archiver: Archiver, move: Move, shard: str, changed: list[str]) -> None:
    """Raise RefusedError if a shard's rows are not those that were moved."""
    if changed:
        raise RefusedError(
            f"Deleting {_who(archiver, move)} from {shard} refused: its rows there are not those that were moved: "
            f"{', '.join(changed)}.",
            hint=f"They stay. Compare them with {move.location}, then run: {move.route.command}",
        )


def _lost(archiver: Archiver, left: Move, source: _Side, target: _Side) -> RefusedError:
    """Return the error for a move of which neither shard holds the rows as they were read."""
    sides = ((left.source, source), (left.target, target))
    state = "; ".join(f"{shard}: {', '.join(side.changed) if not side.empty else 'no rows'}" for shard, side in sides)
    return RefusedError(
        f"Ending the move of {_who(archiver, left)} from {left.source} to {left.target} refused: neither holds its "
        f"rows as they were read ({state}). {left.location} holds them. Nothing was changed.",
        hint="Was a database set back? Restore it from a later backup, or compare the rows with that archive.",
    )


def _who(archiver: Archiver, move: Move) -> str:
    return f"{archiver.model.tenant.noun} {move.tenant_id}"
