"""The record of a tenant's move to another shard, in master: its route, archive, id offsets and state."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from archiver.catalog.model import SHARD
from archiver.format import layout
from archiver.format.manifest import Manifest, Member
from archiver.postgres.operator import host, operator
from archiver.postgres.own_schema import read, ready
from archiver.postgres.session import Session
from archiver.postgres.tenants import Tenant
from archiver.records.archive_record import Record
from archiver.records.id_offsets import Offsets, Region
from archiver.store.bucket import StoredDigests
from errors import RefusedError
from inventory.keys import Key


class MoveState(Enum):
    """The states of a move. Each is written before the act it names; SWITCHED is written with it."""

    PLANNED = "planned"  # rows are read, stored and verified; both shards are unchanged
    LOADING = "loading"  # rows are loaded into the target; master still names the source
    SWITCHED = "switched"  # master names the target; rows may be left in the source
    MOVED = "moved"  # the source is empty


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
    state: MoveState
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
        return f"{self.route.command} --schools={self.tenant_id}"

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
        return self.state in (MoveState.LOADING, MoveState.SWITCHED)


DONE = (MoveState.SWITCHED.value, MoveState.MOVED.value)  # master names the target


def plan(session: Session, tenant: Tenant, route: Route, year: int, location: str) -> Move:
    """Write the record of a new move."""
    row = session.row(
        "INSERT INTO archiver.moves (tenant_id, year, verb, source, target, state, location, operator, host)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING id",
        (
            *(tenant.id, year, route.verb, route.source, route.target, MoveState.PLANNED.value, location),
            *(operator(), host()),
        ),
        doing="writing the move",
    )
    return _by_id(session, row[0])


def stored(session: Session, move: Move, manifest: Manifest, digests: StoredDigests) -> Move:
    """Write what was stored."""
    session.execute(
        "UPDATE archiver.moves SET size = %s, sha256 = %s, etag = %s, version_id = %s, members = %s WHERE id = %s",
        (
            *(digests.size, digests.sha256, digests.etag, digests.version_id),
            *(json.dumps({name: vars(member) for name, member in manifest.members.items()}), move.id),
        ),
        doing="writing the move",
    )
    return _by_id(session, move.id)


def loading(session: Session, move: Move, offsets: Offsets) -> Move:
    """Write that the stored rows are verified, and are now loaded into the target with these offsets."""
    session.execute(
        "UPDATE archiver.moves SET state = %s, offsets = %s WHERE id = %s",
        (MoveState.LOADING.value, _json(offsets), move.id),
        doing="writing the move",
    )
    return _by_id(session, move.id)


def switched(session: Session, move: Move) -> None:
    """Write that master names the target. Call it in the transaction that changes it."""
    session.execute(
        "UPDATE archiver.moves SET state = %s, switched_at = now(), turn = nextval('archiver.turns') WHERE id = %s",
        (MoveState.SWITCHED.value, move.id),
        doing="writing the move",
    )


def moved(session: Session, move: Move) -> None:
    """Write that the source holds no more rows of the tenant."""
    query = "UPDATE archiver.moves SET state = %s WHERE id = %s"
    session.execute(query, (MoveState.MOVED.value, move.id), doing="writing the move")


def withdrawn(session: Session, move: Move) -> None:
    """Delete the record of a move that changed nothing."""
    session.execute("DELETE FROM archiver.moves WHERE id = %s", (move.id,), doing="deleting the move")


def restored_elsewhere(session: Session, record: Record, source: str, target: str, offsets: Offsets) -> None:
    """Write that an archive of the source was restored to the target. Call it in the transaction of the restore."""
    session.execute(
        "INSERT INTO archiver.moves"
        " (tenant_id, year, location, verb, source, target, state, offsets, switched_at, turn, operator, host)"
        " VALUES (%s, %s, %s, 'merge', %s, %s, %s, %s, now(), nextval('archiver.turns'),"
        " %s, %s)",
        (
            *(record.tenant_id, record.year, record.location, source, target, MoveState.MOVED.value),
            *(_json(offsets), operator(), host()),
        ),
        doing="writing the move",
    )


def done(session: Session) -> tuple[Move, ...]:
    """Return the moves since which master names the target; empty if there was none."""
    return _read(session, "state = ANY(%s)", (list(DONE),)) if ready(session) else ()


def interrupted(session: Session, tenant_ids: Collection[Key] | None = None) -> tuple[Move, ...]:
    """Return the interrupted moves, of these tenants or of all."""
    if not ready(session):
        return ()
    ids = None if tenant_ids is None else list(tenant_ids)
    return _read(session, "state <> %s AND (%s::bigint[] IS NULL OR tenant_id = ANY(%s))", (_MOVED, ids, ids))


def last_marked(session: Session) -> tuple[Move, ...]:
    """Return each tenant's last move, if a version that marks moves in the target has switched it."""
    if not ready(session):
        return ()
    last = "id IN (SELECT max(id) FROM archiver.moves WHERE state = ANY(%s) GROUP BY tenant_id)"
    return _read(session, f"{last} AND turn > 0 AND sha256 IS NOT NULL", (list(DONE),))


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


_MOVED = MoveState.MOVED.value


def _json(offsets: Offsets) -> str:
    return json.dumps([[region.above, region.upto, region.plus] for region in offsets])


def _by_id(session: Session, move_id: int) -> Move:
    return _read(session, "id = %s", (move_id,))[0]


def _read(session: Session, condition: str, args: Sequence[object]) -> tuple[Move, ...]:
    return tuple(map(_move, read(session, "moves", Move, f"WHERE {condition} ORDER BY id", args)))


def _move(row: dict[str, Any]) -> Move:
    members = {name: Member(**member) for name, member in row["members"].items()}
    return Move(
        **{**row, "state": MoveState(row["state"]), "offsets": offsets_of(row["offsets"]), "members": members},
    )
