"""Merge a shard into another one, tenant by tenant, and split it off again (`inv shards.merge`, `inv shards.split`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager

from archiver.catalog.activity_rules import Rules
from archiver.completeness import completeness
from archiver.delete.settle_month import settle, settle_tenant
from archiver.format.spool_folder import work_folder
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.fence import fenced
from archiver.postgres.locks import AdvisoryLock, held_locks
from archiver.postgres.tenants import Tenant, every, of_ids
from archiver.records import archive_record, move_record
from archiver.records.move_record import Route
from archiver.records.placement_history import Relocation, placement_history
from archiver.records.state import State
from archiver.reshard.id_ranges import covered, reserved
from archiver.reshard.move import move
from archiver.reshard.settle import Ended, settle_move
from archiver.runs.context import Archiver
from archiver.runs.each import Done, Outcome, for_each
from archiver.runs.settle import settle as settle_markers
from errors import Problems, RefusedError, UsageError
from formatting import plural
from inventory.keys import Key, key_order

MERGE, SPLIT = "merge", "split"
_LOCK = "cutover shards"  # one merge or split at a time, in master


MoveOutcome = Outcome[Key, Ended]  # of a tenant's id
OnMoved = Callable[[MoveOutcome], None]


def move_all(
    archiver: Archiver,
    route: Route,
    year: int,
    on_result: OnMoved,
    *,
    kept_off: Callable[[], bool] = lambda: False,
    only: Collection[Key] = (),
) -> list[MoveOutcome]:
    """Move the tenants of a merge or split one by one; one that fails stays where it is, and the others continue.

    What an interrupted run of the same route left is settled first. The fence blocks the application from each tenant;
    if there is none, `kept_off` must say that the application is off. `on_result` is called for each tenant. `only`
    are the ids of the tenants to move; none: all. Raises Problems with those of them that this route does not move.
    """
    databases = archiver.databases
    refuse_invalid_route(route, databases.shards)
    if tenants_to_move(databases, route, only):
        _refuse_live(archiver, kept_off)
    completeness.prove_complete(databases)
    with held_locks([AdvisoryLock(databases.master, _LOCK)]):
        settle_markers(archiver, [route.source, route.target])
        _begin(archiver, route, complete=not only)
        to_move = {tenant.id: tenant for tenant in tenants_to_move(databases, route, only)}
        return for_each(
            to_move,
            lambda tenant_id: _move(archiver, to_move[tenant_id], route, year, kept_off),
            on_result,
            databases=databases,
        )


def tenants_to_move(databases: Databases, route: Route, only: Collection[Key] = ()) -> list[Tenant]:
    """Return the tenants to move, and those of interrupted moves, by id; with `only`, those of these keys.

    A merge moves all tenants of the source; a split those of them that came from the target. Raises Problems with
    every key of `only` that is none of them.
    """
    movable = _movable(databases, route)
    others = sorted(set(only) - {tenant.id for tenant in movable}, key=key_order)
    if problems := [_why_not_moved(databases, route, tenant_id) for tenant_id in others]:
        nouns = plural(databases.model.tenant.noun)
        raise Problems(f"This {route.verb} does not move these {nouns}; nothing was changed:", problems)
    return [tenant for tenant in movable if not only or tenant.id in only]


def _movable(databases: Databases, route: Route) -> list[Tenant]:
    """Return every tenant that a route moves, and those of its interrupted moves, by id."""
    interrupted = {left.tenant_id for left in move_record.interrupted(databases.master) if left.route == route}
    movable = [tenant for tenant in every(databases.master, databases.model.tenant) if tenant.shard == route.source]
    if route.verb == SPLIT:
        origins = came_from(placement_history(databases.master).tenants)
        movable = [tenant for tenant in movable if origins.get(tenant.id) == route.target]
    left = of_ids(databases.master, databases.model.tenant, interrupted - {tenant.id for tenant in movable})
    return sorted((*movable, *left), key=lambda tenant: key_order(tenant.id))


def _why_not_moved(databases: Databases, route: Route, tenant_id: Key) -> str:
    """Return why a route does not move a tenant, as a sentence."""
    noun = databases.model.tenant.noun
    tenant = tenants.tenant(databases.master, databases.model.tenant, tenant_id)
    if tenant is None:
        archived = archive_record.of_tenant(databases.master, tenant_id)
        return f"{noun} {tenant_id} is archived." if archived else f"There is no {noun} {tenant_id}."
    if tenant.shard != route.source:
        return f"{noun} {tenant_id} is on {tenant.shard or 'no shard'}, not on {route.source}."
    return f"{noun} {tenant_id} did not come from {route.target}."


def came_from(relocations: Mapping[Key, Sequence[Relocation]]) -> dict[Key, str]:
    """Return the shard that each tenant came from; a tenant that moved back counts as if it had not moved."""
    trails: dict[Key, list[tuple[str, str]]] = defaultdict(list)
    for tenant_id, path in relocations.items():
        trail = trails[tenant_id]
        for relocation in path:
            if trail and trail[-1] == (relocation.target, relocation.source):
                trail.pop()
            else:
                trail.append((relocation.source, relocation.target))
    return {tenant_id: trail[-1][0] for tenant_id, trail in trails.items() if trail}


def refuse_invalid_route(route: Route, shards: Collection[str]) -> None:
    """Raise UsageError unless the route leads from one shard to another."""
    for option, shard in (("from", route.source), ("into", route.target)):
        if shard not in shards:
            shards_known, got = ", ".join(shards) or "none", repr(shard) if shard else "nothing"
            raise UsageError(f"--{option}: expected a shard of the inventory ({shards_known}), got {got}.")
    if route.source == route.target:
        raise UsageError(f"--into: expected another shard than --from, got {route.target!r} twice.")


def _begin(archiver: Archiver, route: Route, *, complete: bool) -> None:
    """Settle interrupted monthly runs; of a complete shard, record where its archives are restored from now on.

    Takes the exclusive lock. The markers of monthly runs are on a shard that may be dropped when it is empty.
    """
    databases = archiver.databases
    with databases.exclusive_lock():
        refuse_unready(databases, route)
        if archiver.model.catalog.activity:
            settle(databases, Rules(model=archiver.model), databases.placement(route.source))
        if complete:
            _redirect_archives(databases, route)


def _redirect_archives(databases: Databases, route: Route) -> None:
    """Record that archives of a merged shard are restored in the target, and those of a split-off one in itself."""
    if route.verb == SPLIT:
        databases.master.execute(_NO_ALIAS, (route.target, route.source), doing="ending the alias")
        return
    if not covered(databases, route):
        reserved(databases, route)
    databases.master.execute(_ALIAS, (route.source, route.target), doing="writing the alias")


def refuse_unready(databases: Databases, route: Route) -> None:
    """Raise RefusedError if an archive or a restore is interrupted, or the target was merged into another shard."""
    _refuse_interrupted(databases)
    _refuse_merged(databases, route)


def _refuse_interrupted(databases: Databases) -> None:
    """Raise RefusedError if an archive or restore is interrupted: it must be completed where it began."""
    for state in (State.DELETING, State.RESTORING):
        for record in archive_record.read_if_any(databases.master, state=state):
            noun = databases.model.tenant.noun
            raise RefusedError(
                f"{noun.capitalize()} {record.tenant_id} is {state.value} for {record.year}: a run was interrupted.",
                hint="Run the same command again to complete it.",
            )


def _refuse_merged(databases: Databases, route: Route) -> None:
    """Raise RefusedError if the target was merged into another shard."""
    query = "SELECT lies_in FROM archiver.aliases WHERE shard = %s AND (%s <> 'split' OR lies_in <> %s)"
    row = databases.master.row(query, (route.target, route.verb, route.source), doing="reading the aliases")
    if row:
        raise RefusedError(
            f"{route.target} was merged into {row[0]}.",
            hint=f"To undo that, run: inv shards.split --from={row[0]} --into={route.target}",
        )


def _move(archiver: Archiver, tenant: Tenant, route: Route, year: int, kept_off: Callable[[], bool]) -> Done[Ended]:
    """Move one tenant under its locks, or end the move that an earlier run left."""
    with _locked(archiver, tenant, route), work_folder(archiver.work) as work:
        _refuse_live(archiver, kept_off)
        ended = _settled(archiver, tenant, route) or move(archiver, tenant, route, year, work)
    return Done(rows=sum(ended.move.rows.values()), size=ended.move.size or 0, detail=ended)


@contextmanager
def _locked(archiver: Archiver, tenant: Tenant, route: Route) -> Iterator[None]:
    """Hold the tenant's locks and keep the application off it while the block runs."""
    noun = archiver.model.tenant.noun
    with (
        archiver.databases.tenant_lock(tenant.id, route.source, route.target),
        fenced(archiver.fence, noun, tenant.id),
    ):
        yield


def _refuse_live(archiver: Archiver, kept_off: Callable[[], bool]) -> None:
    """Raise RefusedError if nothing keeps the application off."""
    if archiver.fence is None and not kept_off():
        raise RefusedError(
            f"Moving live {plural(archiver.model.tenant.noun)} refused: nothing keeps the application off them.",
            hint="Name a `fence` in the inventory, or switch maintenance mode on.",
        )


def _settled(archiver: Archiver, tenant: Tenant, route: Route) -> Ended | None:
    """Settle what an earlier run left of a tenant. Return its move if only the source was left to empty, else None.

    An interrupted monthly run is completed first, while its markers are on the tenant's shard.
    """
    if archiver.model.catalog.activity:
        settle_tenant(archiver.databases, Rules(model=archiver.model), tenant.id)
    for left in move_record.interrupted(archiver.databases.master, [tenant.id]):
        if left.in_two_shards and left.route != route:
            move_record.refuse_half_moved(archiver.databases.master, archiver.model.tenant.noun, [tenant.id])
        if ended := settle_move(archiver, left):
            return ended
    return None


_ALIAS = """
INSERT INTO archiver.aliases (shard, lies_in, since) VALUES (%s, %s, clock_timestamp())
    ON CONFLICT (shard)
    DO UPDATE SET lies_in = excluded.lies_in, since = excluded.since, turn = nextval('archiver.turns')
"""
_NO_ALIAS = "DELETE FROM archiver.aliases WHERE (shard, lies_in) = (%s, %s)"
