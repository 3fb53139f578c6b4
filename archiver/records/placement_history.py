"""Where the rows of an archive lie today: tenants that moved, and shards whose archives come back elsewhere."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.records import move_record
from archiver.records.archive_record import Record
from archiver.records.id_offsets import Offsets, reversed_offsets


@dataclass(frozen=True, kw_only=True)
class Relocation:
    """A way from one shard to another that a tenant went, or that its archives go."""

    source: str
    target: str
    offsets: Offsets
    at: datetime  # archives from before go this way
    alias: bool = False  # the shard's: the tenant itself did not go it


Relocations = tuple[Relocation, ...]


@dataclass(frozen=True, kw_only=True)
class PlacementHistory:
    """What moved, as master knows it."""

    tenants: Mapping[int, Sequence[Relocation]] = field(default_factory=dict)  # in the order in which they were gone
    aliases: Mapping[str, Relocation] = field(default_factory=dict)  # by shard

    def relocations(self, tenant_id: int, shard: str, since: datetime, *, live: bool = False) -> Relocations:
        """The ways from a shard, as an archive begun at that moment names it, to the shard of today.

        First those that the tenant went since. Of one that is not live then those that archives of the shard go which
        was merged into another one since.
        """
        found = [hop for hop in self.tenants.get(tenant_id, ()) if hop.at > since]
        at = final_shard(shard, tuple(found))
        since = max([since, *(hop.at for hop in found)])
        while not live and (alias := self.aliases.get(at)) and alias.at > since:
            found.append(alias)
            at = alias.target
        return tuple(found)


def placement_history(master: Session) -> PlacementHistory:
    """Reads what moved; nothing, where no tenant ever did."""
    if not ready(master):
        return PlacementHistory()
    gone: dict[int, list[Relocation]] = defaultdict(list)
    for tenant_id, source, target, offsets, at in master.rows(
        _GONE, (list(move_record.DONE),), doing="reading the moves"
    ):
        gone[tenant_id].append(Relocation(source=source, target=target, offsets=move_record.offsets_of(offsets), at=at))
    rows = master.rows("SELECT shard, lies_in, since FROM archiver.aliases", doing="reading the aliases")
    aliases = {
        shard: Relocation(source=shard, target=target, offsets=regions(master, shard, target), at=since, alias=True)
        for shard, target, since in rows
    }
    return PlacementHistory(tenants=gone, aliases=aliases)


def regions(master: Session, source: str, target: str) -> Offsets:
    """Every region that is known of a way between two shards, from ways there and back."""
    query = "SELECT above, upto, plus FROM archiver.regions WHERE (source, target) = (%s, %s) ORDER BY above"
    there, here = (
        move_record.offsets_of(master.rows(query, way, doing="reading the offsets"))
        for way in ((source, target), (target, source))
    )
    return tuple(sorted({*there, *reversed_offsets(here)}))


def relocations_of(databases: Databases, record: Record) -> Relocations:
    """The ways that a record's rows go today."""
    live = not tenants.unknown(databases.master, databases.model.tenant, [record.tenant_id])
    return placement_history(databases.master).relocations(record.tenant_id, record.shard, record.started_at, live=live)


def final_shard(shard: str, hops: Relocations) -> str:
    """The shard to which these ways lead from one."""
    return hops[-1].target if hops else shard


def shard_of(databases: Databases, record: Record) -> str:
    """The shard into which a record's rows belong today."""
    return shards_of(databases, [record])[record.id]


def shards_of(databases: Databases, several: Sequence[Record]) -> dict[int, str]:
    """The same of several records, by their ids."""
    known = placement_history(databases.master)
    gone = set(tenants.unknown(databases.master, databases.model.tenant, {record.tenant_id for record in several}))
    return {
        record.id: final_shard(
            record.shard,
            known.relocations(record.tenant_id, record.shard, record.started_at, live=record.tenant_id not in gone),
        )
        for record in several
    }


_GONE = """
SELECT tenant_id, source, target, offsets, switched_at FROM archiver.moves WHERE state = ANY(%s) ORDER BY id
"""
