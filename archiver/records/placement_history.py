"""Today's shard for the rows of an archive: after moves of the tenant, and merges of its shard."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.records import move_record
from archiver.records.archive_record import Record
from archiver.records.id_offsets import Offsets, Region, reversed_offsets
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class Relocation:
    """A move of one tenant between shards, or the merge of a shard, which its archives follow when restored."""

    source: str
    target: str
    offsets: Offsets
    turn: int  # archives begun earlier follow it
    alias: bool = False  # the merge of a whole shard, not a move of the tenant


Relocations = tuple[Relocation, ...]


@dataclass(frozen=True, kw_only=True)
class PlacementHistory:
    """The moves and merges that master has recorded."""

    tenants: Mapping[Key, Sequence[Relocation]] = field(default_factory=dict)  # in the order of the moves
    aliases: Mapping[str, Relocation] = field(default_factory=dict)  # by shard

    def relocations(self, tenant_id: Key, shard: str, since: int, *, live: bool = False) -> Relocations:
        """Return the relocations from the shard of an archive begun at the turn `since` to today's shard.

        First the tenant's own moves since then; then, if the tenant is not live, later merges of the shard it reached.
        """
        relocations = [move for move in self.tenants.get(tenant_id, ()) if move.turn > since]
        at = final_shard(shard, tuple(relocations))
        since = max([since, *(move.turn for move in relocations)])
        while not live and (alias := self.aliases.get(at)) and alias.turn > since:
            relocations.append(alias)
            at = alias.target
        return tuple(relocations)


def placement_history(master: Session) -> PlacementHistory:
    """Read the placement history; it is empty if nothing was ever archived or moved."""
    if not ready(master):
        return PlacementHistory()
    moves: dict[Key, list[Relocation]] = defaultdict(list)
    for move in move_record.done(master):
        relocation = Relocation(source=move.source, target=move.target, offsets=move.offsets, turn=move.turn or 0)
        moves[move.tenant_id].append(relocation)
    rows = master.rows("SELECT shard, lies_in, turn FROM archiver.aliases", doing="reading the aliases")
    aliases = {
        shard: Relocation(source=shard, target=target, offsets=regions(master, shard, target), turn=turn, alias=True)
        for shard, target, turn in rows
    }
    return PlacementHistory(tenants=moves, aliases=aliases)


def regions(master: Session, source: str, target: str) -> Offsets:
    """Return every known region from one shard to another, from relocations in both directions."""
    query = "SELECT above, upto, plus FROM archiver.regions WHERE (source, target) = (%s, %s) ORDER BY above"
    forward, backward = (
        move_record.offsets_of(master.rows(query, pair, doing="reading the offsets"))
        for pair in ((source, target), (target, source))
    )
    return tuple(sorted({*forward, *reversed_offsets(backward)}))


def write_regions(master: Session, source: str, target: str, new: Sequence[Region]) -> None:
    """Record new regions from one shard to another. Call it in a transaction."""
    for region in new:
        master.execute(
            "INSERT INTO archiver.regions (source, target, above, upto, plus) VALUES (%s, %s, %s, %s, %s)",
            (source, target, region.above, region.upto, region.plus),
            doing="writing the offsets",
        )


def relocations_of(databases: Databases, record: Record) -> Relocations:
    """Return the relocations that a record's rows follow today."""
    live = not tenants.unknown(databases.master, databases.model.tenant, [record.tenant_id])
    return placement_history(databases.master).relocations(record.tenant_id, record.shard, record.turn, live=live)


def final_shard(shard: str, relocations: Relocations) -> str:
    """Return the shard to which these relocations lead."""
    return relocations[-1].target if relocations else shard


def shard_of(databases: Databases, record: Record) -> str:
    """Return the shard to which a record's rows belong today."""
    return shards_of(databases, [record])[record.id]


def shards_of(databases: Databases, records: Sequence[Record]) -> dict[int, str]:
    """Return the shard to which each record's rows belong today, by record id."""
    history = placement_history(databases.master)
    not_live = set(tenants.unknown(databases.master, databases.model.tenant, {record.tenant_id for record in records}))
    return {
        record.id: final_shard(
            record.shard,
            history.relocations(record.tenant_id, record.shard, record.turn, live=record.tenant_id not in not_live),
        )
        for record in records
    }
