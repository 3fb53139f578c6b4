"""The life of a tenant's move, in master: from where to where, what was archived, by which offsets, how far it is."""

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
from archiver.store.bucket import Digests
from errors import RefusedError


class MoveState(Enum):
    """A move's life; each is written before the act it names, but for SWITCHED, which is written with it."""

    PLANNED = "planned"  # rows are read, stored and proved; both shards are as they were
    LOADING = "loading"  # rows come into the target; master still names the source
    SWITCHED = "switched"  # master names the target; rows may be left in the source
    MOVED = "moved"  # the source is empty


@dataclass(frozen=True, kw_only=True)
class Route:
    """From which shard to which, and by which task: merge or split."""

    verb: str
    source: str
    target: str

    @property
    def command(self) -> str:
        """What an operator types."""
        return f"inv shards.{self.verb} --from={self.source} --into={self.target}"


@dataclass(frozen=True, kw_only=True)
class Move:
    """What master knows of one tenant's move."""

    id: int
    tenant_id: int
    year: int  # in the tarball's name
    verb: str
    source: str
    target: str
    offsets: Offsets  # of its ids
    state: MoveState
    location: str
    size: int | None
    sha256: str | None
    members: Mapping[str, Member]
    operator: str
    host: str
    started_at: datetime
    switched_at: datetime | None  # since when master names the target

    @property
    def route(self) -> Route:
        """From where to where."""
        return Route(verb=self.verb, source=self.source, target=self.target)

    @property
    def rows(self) -> Mapping[str, int]:
        """The rows of the shard, by table."""
        return {
            str(table): member.rows
            for name, member in self.members.items()
            if (table := layout.table_of(name)).database == SHARD
        }

    @property
    def in_two_shards(self) -> bool:
        """Whether rows may lie in both shards."""
        return self.state in (MoveState.LOADING, MoveState.SWITCHED)


DONE = (MoveState.SWITCHED.value, MoveState.MOVED.value)  # master names the target


def plan(session: Session, tenant: Tenant, route: Route, year: int, location: str) -> Move:
    """Writes that a move begins."""
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


def stored(session: Session, move: Move, manifest: Manifest, digests: Digests) -> Move:
    """Writes what lies in the store."""
    session.execute(
        "UPDATE archiver.moves SET size = %s, sha256 = %s, members = %s WHERE id = %s",
        (
            *(digests.size, digests.sha256),
            *(json.dumps({name: vars(member) for name, member in manifest.members.items()}), move.id),
        ),
        doing="writing the move",
    )
    return _by_id(session, move.id)


def loading(session: Session, move: Move, offsets: Offsets) -> Move:
    """Writes that the stored rows are proved, and come into the target by these offsets."""
    session.execute(
        "UPDATE archiver.moves SET state = %s, offsets = %s WHERE id = %s",
        (MoveState.LOADING.value, _json(offsets), move.id),
        doing="writing the move",
    )
    return _by_id(session, move.id)


def switched(session: Session, move: Move) -> None:
    """Writes that master names the target; belongs into the transaction that makes it do so."""
    session.execute(
        "UPDATE archiver.moves SET state = %s, switched_at = now() WHERE id = %s",
        (MoveState.SWITCHED.value, move.id),
        doing="writing the move",
    )


def moved(session: Session, move: Move) -> None:
    """Writes that the source holds nothing of the tenant any more."""
    query = "UPDATE archiver.moves SET state = %s WHERE id = %s"
    session.execute(query, (MoveState.MOVED.value, move.id), doing="writing the move")


def withdrawn(session: Session, move: Move) -> None:
    """Takes a move back of which nothing happened."""
    session.execute("DELETE FROM archiver.moves WHERE id = %s", (move.id,), doing="taking the move back")


def restored_elsewhere(session: Session, record: Record, source: str, target: str, offsets: Offsets) -> None:
    """Writes that an archive of the source came back into the target; belongs into the transaction that restores it."""
    session.execute(
        "INSERT INTO archiver.moves"
        " (tenant_id, year, location, verb, source, target, state, offsets, switched_at, operator, host)"
        " VALUES (%s, %s, %s, 'merge', %s, %s, %s, %s, now(), %s, %s)",
        (
            *(record.tenant_id, record.year, record.location, source, target, MoveState.MOVED.value),
            *(_json(offsets), operator(), host()),
        ),
        doing="writing the move",
    )


def interrupted(session: Session, tenant_ids: Collection[int] | None = None) -> tuple[Move, ...]:
    """The moves that were cut off, of these tenants or of all."""
    if not ready(session):
        return ()
    wanted = None if tenant_ids is None else list(tenant_ids)
    return _read(session, "state <> %s AND (%s::bigint[] IS NULL OR tenant_id = ANY(%s))", (_MOVED, wanted, wanted))


def refuse_half_moved(session: Session, noun: str, tenant_ids: Collection[int]) -> None:
    """RefusedError where a move of one of these was cut off: its rows may lie in two shards."""
    for move in half_moved(session, tenant_ids):
        raise RefusedError(
            f"{noun.capitalize()} {move.tenant_id} is half moved from {move.source} to {move.target}.",
            hint=f"End that first: {move.route.command}",
        )


def half_moved(session: Session, tenant_ids: Collection[int] | None = None) -> tuple[Move, ...]:
    """Those of them whose rows may lie in two shards."""
    return tuple(move for move in interrupted(session, tenant_ids) if move.in_two_shards)


def offsets_of(told: Sequence[Sequence[int]]) -> Offsets:
    """Offsets as a table's JSON has them."""
    return tuple(Region(*region) for region in told)


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
