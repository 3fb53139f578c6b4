"""The record of a tenant's move to another shard, in master: its route, archive, id offsets and state."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from archiver.catalog.model import SHARD
from archiver.format import layout
from archiver.format.manifest import Manifest, Member
from archiver.postgres.own_schema import ready
from archiver.postgres.session import Session
from archiver.postgres.tenants import Tenant
from archiver.records import ledger
from archiver.records.archive_record import Record
from archiver.records.id_offsets import Offsets, Region
from archiver.records.ledger import NOW, members_of, plain
from archiver.records.state import Kind, State
from archiver.store.bucket import StoredDigests
from errors import RefusedError
from inventory.keys import Key, key_text, listed


@dataclass(frozen=True, kw_only=True)
class Route:
    """The source and target shard of a move, and its task: merge or split."""

    verb: str
    source: str
    target: str

    @property
    def command(self) -> str:
        """The command that an operator types."""
        return f"inv shards.{self.verb} --from={self.source} --into={self.target}"


@dataclass(frozen=True, kw_only=True)
class Move:
    """The record of one tenant's move."""

    id: int
    tenant_id: Key
    year: int  # the year in the tarball's name
    verb: str
    source: str
    target: str
    offsets: Offsets  # of the tenant's ids
    state: State
    location: str
    size: int | None
    sha256: str | None
    etag: str | None  # of the object as it was put; None: put by an older version of this tool
    version_id: str | None  # None: also if the bucket has no versions
    members: Mapping[str, Member]
    operator: str
    host: str
    started_at: datetime
    switched_at: datetime | None  # the time at which master began to name the target
    turn: int | None  # its place among all archives, months, moves and merges, once master names the target

    @property
    def route(self) -> Route:
        """The route of the move."""
        return Route(verb=self.verb, source=self.source, target=self.target)

    @property
    def command(self) -> str:
        """The command that ends this move alone."""
        return f"{self.route.command} --schools={shlex.quote(listed(self.tenant_id))}"

    @property
    def rows(self) -> Mapping[str, int]:
        """The number of rows of the shard, by table."""
        return {
            str(table): member.rows
            for name, member in self.members.items()
            if (table := layout.table_of(name)).database == SHARD
        }

    @property
    def in_two_shards(self) -> bool:
        """True if rows may be in both shards."""
        return self.state in (State.LOADING, State.SWITCHED)


DONE = (State.SWITCHED, State.MOVED)  # master names the target


def plan(session: Session, tenant: Tenant, route: Route, year: int, location: str) -> Move:
    """Write the record of a new move."""
    row = _row(tenant.id, year, route, location)
    [number] = ledger.insert(session, Kind.MOVE, State.PLANNED, [{**row, "turn": None}])
    return by_id(session, number)


def stored(session: Session, move: Move, manifest: Manifest, digests: StoredDigests) -> Move:
    """Write what was stored."""
    return _advance(session, move, State.PLANNED, **vars(digests), members=plain(manifest.members))


def loading(session: Session, move: Move, offsets: Offsets) -> Move:
    """Write that the stored rows are verified, and are now loaded into the target with these offsets."""
    return _advance(session, move, State.LOADING, offsets=plain_offsets(offsets))


def switched(session: Session, move: Move) -> None:
    """Write that master names the target. Call it in the transaction that changes it."""
    row = {"id": move.id, "switched_at": NOW, "turn": ledger.new_turn(session)}
    ledger.advance(session, Kind.MOVE, State.SWITCHED, [row])


def moved(session: Session, move: Move) -> None:
    """Write that the source holds no row of the tenant."""
    ledger.advance(session, Kind.MOVE, State.MOVED, ledger.ids([move.id]))


def withdrawn(session: Session, move: Move) -> None:
    """Delete the record of a move that changed nothing."""
    ledger.delete(session, Kind.MOVE, "id = %s", (move.id,), doing="deleting the move")


def restored_elsewhere(session: Session, record: Record, source: str, target: str, offsets: Offsets) -> None:
    """Write that an archive of the source was restored to the target. Call it in the transaction of the restore."""
    row = _row(record.tenant_id, record.year, Route(verb="merge", source=source, target=target), record.location)
    ledger.insert(session, Kind.MOVE, State.MOVED, [{**row, "offsets": plain_offsets(offsets), "switched_at": NOW}])


def _row(tenant_id: Key, year: int, route: Route, location: str) -> dict[str, object]:
    return {
        "key": key_text(tenant_id),
        "year": year,
        "verb": route.verb,
        "shard": route.source,
        "target": route.target,
        "location": location,
    }


def done(session: Session) -> tuple[Move, ...]:
    """Return the moves since which master names the target; empty if there was none."""
    return _read(session, "state = ANY(%s)", (_DONE,)) if ready(session) else ()


def interrupted(session: Session, tenant_ids: Collection[Key] | None = None) -> tuple[Move, ...]:
    """Return the interrupted moves, of these tenants or of all."""
    if not ready(session):
        return ()
    keys = None if tenant_ids is None else list(map(key_text, tenant_ids))
    condition = "state <> %s AND (%s::text[] IS NULL OR key = ANY(%s))"
    return _read(session, condition, (State.MOVED.value, keys, keys))


def last_marked(session: Session) -> tuple[Move, ...]:
    """Return each tenant's last move, if a version that marks moves in the target has switched it."""
    if not ready(session):
        return ()
    last = "id IN (SELECT max(id) FROM archiver.archives WHERE kind = %s AND state = ANY(%s) GROUP BY key)"
    return _read(session, f"{last} AND turn > 0 AND sha256 IS NOT NULL", (Kind.MOVE.value, _DONE))


def refuse_half_moved(session: Session, noun: str, tenant_ids: Collection[Key]) -> None:
    """Raise RefusedError if one of these tenants is half moved: its rows may be in two shards."""
    for move in half_moved(session, tenant_ids):
        raise RefusedError(
            f"{noun.capitalize()} {move.tenant_id} is half moved from {move.source} to {move.target}.",
            hint=f"End that first: {move.command}",
        )


def half_moved(session: Session, tenant_ids: Collection[Key] | None = None) -> tuple[Move, ...]:
    """Return the interrupted moves whose rows may be in two shards."""
    return tuple(move for move in interrupted(session, tenant_ids) if move.in_two_shards)


def offsets_of(regions: Sequence[Sequence[int]]) -> Offsets:
    """Return the offsets of regions as rows or JSON hold them: above, upto, plus."""
    return tuple(Region(*region) for region in regions)


def plain_offsets(offsets: Offsets) -> list[list[int]]:
    """Return offsets as plain data."""
    return [[region.above, region.upto, region.plus] for region in offsets]


def _advance(session: Session, move: Move, state: State, **columns: object) -> Move:
    ledger.advance(session, Kind.MOVE, state, ledger.ids([move.id], **columns))
    return by_id(session, move.id)


def by_id(session: Session, move_id: int) -> Move:
    """Return the record of that id, which must exist."""
    return _read(session, "id = %s", (move_id,))[0]


def _read(session: Session, condition: str, args: Sequence[object]) -> tuple[Move, ...]:
    return tuple(map(_move, ledger.read(session, Kind.MOVE, _COLUMNS, condition, args)))


def _move(row: dict[str, Any]) -> Move:
    offsets, members = offsets_of(row["offsets"]), members_of(row["members"])
    return Move(**{**row, "offsets": offsets, "members": members})


_COLUMNS = ledger.columns_of(Move, tenant_id="key", source="shard")
_DONE = [state.value for state in DONE]
