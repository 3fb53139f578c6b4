"""A whole shard into another one, tenant by tenant, and back: `inv shards.merge` and `inv shards.split`."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from archiver.catalog.activity_rules import Rules
from archiver.completeness import completeness
from archiver.delete.settle_month import settle, settle_tenant
from archiver.format.spool_folder import work_folder
from archiver.postgres.databases import Workplace
from archiver.postgres.fence import fenced
from archiver.postgres.locks import Lock, held
from archiver.postgres.tenants import Exclude, Tenant, all_but, of_ids
from archiver.records import archive_record, move_record
from archiver.records.move_record import Course, Move, State
from archiver.records.placement import Hop, whereabouts
from archiver.reshard.id_ranges import covered, reserved
from archiver.reshard.move import move
from archiver.reshard.settle import end, withdraw
from archiver.runs.context import Archiver
from errors import CutoverError, RefusedError, UsageError

MERGE, SPLIT = "merge", "split"
_ALONE = "cutover shards"  # one merge or split at a time, in master


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of one tenant."""

    tenant_id: int
    seconds: float
    move: Move | None = None  # none: it failed
    error: CutoverError | None = None


Tell = Callable[[Outcome], None]


def carry(
    archiver: Archiver, course: Course, year: int, tell: Tell, *, kept_off: Callable[[], bool] = lambda: False
) -> list[Outcome]:
    """Moves all tenants of a merge or of a split, one by one; one that fails stays where it is, the others go on.

    What an earlier run of the same course left half-way is settled first. The fence keeps the application off each;
    where there is none, `kept_off` is asked whether it is off all of them. `tell` hears of each tenant as it ends.
    """
    place = archiver.place
    refuse_words(course, place.shards)
    if chosen(place, course):
        _refuse_live(archiver, kept_off)
    completeness.prove(place)
    with held([Lock(place.master, _ALONE)]):
        _begin(archiver, course)
        outcomes = []
        for tenant in chosen(place, course):
            outcomes.append(_attempt(archiver, tenant, course, year, kept_off))
            tell(outcomes[-1])
    return outcomes


def chosen(place: Workplace, course: Course) -> list[Tenant]:
    """Who is to be moved, and whose move was cut off: of a merge all tenants of the source, of a split those of them
    that came from the target."""
    half_way = {left.tenant_id for left in move_record.unfinished(place.master) if left.course == course}
    there = [tenant for tenant in all_but(place.master, place.model.tenant, Exclude()) if tenant.shard == course.source]
    if course.verb == SPLIT:
        came = came_from(whereabouts(place.master).tenants)
        there = [tenant for tenant in there if came.get(tenant.id) == course.target]
    left = of_ids(place.master, place.model.tenant, sorted(half_way - {tenant.id for tenant in there}))
    return sorted((*there, *left), key=lambda tenant: tenant.id)


def came_from(gone: Mapping[int, Sequence[Hop]]) -> dict[int, str]:
    """From which shard each tenant came to where it is; one that went back is where it was before it came."""
    trails: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for tenant_id, hops in gone.items():
        trail = trails[tenant_id]
        for hop in hops:
            if trail and trail[-1] == (hop.target, hop.source):
                trail.pop()
            else:
                trail.append((hop.source, hop.target))
    return {tenant_id: trail[-1][0] for tenant_id, trail in trails.items() if trail}


def refuse_words(course: Course, shards: Collection[str]) -> None:
    """UsageError unless it leads from one shard to another one."""
    for option, shard in (("from", course.source), ("into", course.target)):
        if shard not in shards:
            there, got = ", ".join(shards) or "none", repr(shard) if shard else "nothing"
            raise UsageError(f"--{option}: expected a shard of the inventory ({there}), got {got}.")
    if course.source == course.target:
        raise UsageError(f"--into: expected another shard than --from, got {course.target!r} twice.")


def _begin(archiver: Archiver, course: Course) -> None:
    """While nobody else is at work: archives of a shard that is merged come back into the other one from now on, those
    of one that is split off into itself again.

    Past months that were cut off there end first: their markers lie on a shard that may be given up when it is empty.
    """
    place = archiver.place
    with place.alone():
        _refuse_half_way(place)
        if archiver.model.catalog.activity:
            settle(place, Rules(model=archiver.model), place.site(course.source))
        _refuse_merged(place, course)
        if course.verb == MERGE:
            if not covered(place, course):
                reserved(place, course)
            place.master.execute(_ALIAS, (course.source, course.target), doing="writing the alias")
        else:
            place.master.execute(_NO_ALIAS, (course.target, course.source), doing="ending the alias")


def _refuse_half_way(place: Workplace) -> None:
    """What is half archived or half restored must end where it began."""
    for state in (archive_record.State.DELETING, archive_record.State.RESTORING):
        for record in archive_record.read_if_any(place.master, state=state):
            noun = place.model.tenant.noun
            raise RefusedError(
                f"{noun.capitalize()} {record.tenant_id} is {state.value} for {record.year}: a run was cut off.",
                hint="The same command again ends that.",
            )


def _refuse_merged(place: Workplace, course: Course) -> None:
    """Nothing goes into a shard whose archives come back elsewhere."""
    query = "SELECT lies_in FROM archiver.aliases WHERE shard = %s AND (%s <> 'split' OR lies_in <> %s)"
    row = place.master.row(query, (course.target, course.verb, course.source), doing="reading the aliases")
    if row:
        raise RefusedError(
            f"{course.target} was merged into {row[0]}.",
            hint=f"inv shards.split --from={row[0]} --into={course.target} undoes that.",
        )


def _attempt(archiver: Archiver, tenant: Tenant, course: Course, year: int, kept_off: Callable[[], bool]) -> Outcome:
    began = time.monotonic()
    try:
        with _kept(archiver, tenant, course), work_folder(archiver.work) as work:
            _refuse_live(archiver, kept_off)
            left = _settled(archiver, tenant, course)
            moved = left or move(archiver, tenant, course, year, work)
        return Outcome(tenant_id=tenant.id, seconds=time.monotonic() - began, move=moved)
    except CutoverError as error:
        archiver.place.forget_schemas()  # a migration may be what went wrong
        return Outcome(tenant_id=tenant.id, seconds=time.monotonic() - began, error=error)


@contextmanager
def _kept(archiver: Archiver, tenant: Tenant, course: Course) -> Iterator[None]:
    """Keeps everybody else and the application off a tenant while the block runs."""
    noun = archiver.model.tenant.noun
    with archiver.place.keeping(noun, tenant.id, course.source, course.target), fenced(archiver.fence, noun, tenant.id):
        yield


def _refuse_live(archiver: Archiver, kept_off: Callable[[], bool]) -> None:
    """RefusedError where nothing keeps the application off."""
    if archiver.fence is None and not kept_off():
        raise RefusedError(
            f"Moving live {archiver.model.tenant.noun}s refused: nothing keeps the application off them.",
            hint="Name a `fence` in the inventory, or switch maintenance mode on.",
        )


def _settled(archiver: Archiver, tenant: Tenant, course: Course) -> Move | None:
    """What an earlier run left of a tenant: its move, where only the source was to be emptied; else none is left.

    A past month that was cut off ends first, while its markers are on the tenant's shard.
    """
    if archiver.model.catalog.activity:
        settle_tenant(archiver.place, Rules(model=archiver.model), tenant.id)
    for left in move_record.unfinished(archiver.place.master, [tenant.id]):
        if left.half_way and left.course != course:
            move_record.refuse_half_moved(archiver.place.master, archiver.model.tenant.noun, [tenant.id])
        if left.state is State.SWITCHED:
            end(archiver, left)
            return left
        withdraw(archiver, left)
    return None


_ALIAS = """
INSERT INTO archiver.aliases (shard, lies_in, since) VALUES (%s, %s, clock_timestamp())
    ON CONFLICT (shard) DO UPDATE SET lies_in = excluded.lies_in, since = excluded.since
"""
_NO_ALIAS = "DELETE FROM archiver.aliases WHERE (shard, lies_in) = (%s, %s)"
