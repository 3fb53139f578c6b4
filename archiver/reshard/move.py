"""One tenant from a shard to another: extract, pack, store, verify; then into the target, and out of the source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from archiver.catalog.model import SHARD
from archiver.delete.delete import delete
from archiver.delete.unchanged import prove_shape
from archiver.extract.one import extract_one
from archiver.extract.packed import Packed
from archiver.format.bundle import Archive
from archiver.load import fit
from archiver.load.load import IncomingArchive, LiveNeighbors, load_database, sharable
from archiver.load.relocate import renumbered
from archiver.postgres import tenants
from archiver.postgres.databases import Placement
from archiver.postgres.schema import identifier
from archiver.postgres.selection import Selection
from archiver.postgres.session import SQL, Identifier
from archiver.postgres.tenants import Tenant
from archiver.postgres.triggers import triggers_disabled
from archiver.records import archive_record, audit_log, move_record
from archiver.records.archive_record import ArchiveState
from archiver.records.id_offsets import Offsets
from archiver.records.move_record import Move, Route
from archiver.records.placement_history import regions
from archiver.reshard.id_ranges import reserved, uncovered
from archiver.reshard.settle import end, withdraw
from archiver.reshard.shard_rows import ShardRows, counts, differences, shard_rows
from archiver.runs.context import Archiver, new_location, opened, pack
from archiver.verify.verify import verify
from errors import CutoverError, RefusedError
from formatting import plural


@dataclass(frozen=True, kw_only=True)
class TenantRoute:
    """A tenant's rows here, and where they are to be."""

    tenant: Tenant
    source: ShardRows
    target: ShardRows

    @property
    def sites(self) -> tuple[Placement, Placement]:
        """Both shards, each with master."""
        return self.source.placement, self.target.placement


def move(archiver: Archiver, tenant: Tenant, route: Route, year: int, work: Path) -> Move:
    """Moves a tenant whose locks the caller holds, and off which the application is kept.

    Raises RefusedError, with nothing changed, where rows are in the way, are shared, or change meanwhile.
    """
    _still_there(archiver, tenant, route)
    way = _way(archiver, tenant, route)
    _refuse(archiver, way, route)
    planned = move_record.plan(archiver.databases.master, tenant, route, year, new_location(archiver, year, tenant.id))
    try:
        packed = pack(archiver, extract_one(way.source.placement, archiver.model, tenant, year, work), work)
        stored = _store(archiver, planned, packed)
        _verify(archiver, stored, work)
        loading = move_record.loading(archiver.databases.master, stored, _offsets(archiver, way, route))
        _swap(archiver, way, loading, work)
    except CutoverError:
        _step_back(archiver, planned)
        raise
    end(archiver, loading)
    return loading


def _still_there(archiver: Archiver, tenant: Tenant, route: Route) -> None:
    """Looks again, now under the lock."""
    now = tenants.tenant(archiver.databases.master, archiver.model.tenant, tenant.id)
    if now is None or now.shard != route.source:
        raise RefusedError(f"{archiver.model.tenant.noun.capitalize()} {tenant.id} is not on {route.source} any more.")


def _way(archiver: Archiver, tenant: Tenant, route: Route) -> TenantRoute:
    here = shard_rows(archiver.databases.placement(route.source), archiver.model, tenant.id)
    return TenantRoute(tenant=tenant, source=here, target=here.on(archiver.databases.placement(route.target)))


def _refuse(archiver: Archiver, way: TenantRoute, route: Route) -> None:
    """What would leave a row in two shards, or two rows of one id in one."""
    noun, model = archiver.model.tenant.noun, archiver.model
    who = f"Moving {noun} {way.tenant.id} from {route.source} to {route.target} refused"
    for record in archive_record.of_tenant(archiver.databases.master, way.tenant.id):
        if record.state in (ArchiveState.DELETING, ArchiveState.RESTORING):
            raise RefusedError(
                f"{who}: it is {record.state.value} for {record.year}.", hint="The command that was cut off ends that."
            )
    shared = {str(table) for table in sharable(model, way.source.placement.schemas) if table.database == SHARD}
    shared |= {str(need.child) for need in model.external_links if need.child.database == SHARD}
    if shared:
        raise RefusedError(f"{who}: several {plural(noun)} may share rows of {', '.join(sorted(shared))}.")
    if there := counts(way.target.rows()):
        rows = ", ".join(f"{name} ({number})" for name, number in there.items())
        raise RefusedError(f"{who}: rows of it lie in {route.target} already: {rows}.")


def _store(archiver: Archiver, planned: Move, packed: Packed) -> Move:
    archiver.bucket.put(archiver.bucket.key(planned.location), packed.path, packed.digests)
    return move_record.stored(archiver.databases.master, planned, packed.extract.manifest, packed.digests)


def _verify(archiver: Archiver, stored: Move, work: Path) -> None:
    """Proves what the store gives back, not what was sent."""
    with opened(archiver, work, stored) as archive:
        verify(archive, stored.tenant_id, stored.year, archiver.scratch, archiver.model)


def _offsets(archiver: Archiver, way: TenantRoute, route: Route) -> Offsets:
    """Those of the two shards, with a place for every id of the tenant."""
    known = regions(archiver.databases.master, route.source, route.target)
    highest = uncovered(way.source, way.source.rows(), known)
    return reserved(archiver.databases, route, highest) if highest or not known else known


def _swap(archiver: Archiver, way: TenantRoute, loading: Move, work: Path) -> None:
    """Everything is locked, loaded and proved before anything commits: the target first, then master, then the source.

    In between a reader sees the tenant where master says it lies, whole; never nowhere.
    """
    here, there = way.sites
    with _open(here, there):
        rows = _locked(archiver, way, loading)
        _load(archiver, way, loading, work)
        delete(here, way.source.model, SHARD, rows.by_table)
        _point(archiver, loading)
        what = f"moving {archiver.model.tenant.noun} {loading.tenant_id}"
        there.sessions[SHARD].commit(doing=f"{what} into {loading.target}")
        here.master.commit(doing=f"{what} in master")
        here.sessions[SHARD].commit(doing=f"{what} out of {loading.source}")


@contextmanager
def _open(here: Placement, there: Placement) -> Iterator[None]:
    """A transaction in each of the three databases; whatever is still open at the end is rolled back."""
    with ExitStack() as transactions:
        for session in (here.master, there.sessions[SHARD], here.sessions[SHARD]):
            transactions.enter_context(session.rolled_back())
        yield


def _locked(archiver: Archiver, way: TenantRoute, loading: Move) -> Selection:
    """The source's rows under lock, proved to be those of the archive."""
    rows = way.source.rows(locked=True)
    prove_shape(way.source.placement)
    _refuse_different(
        archiver, loading, differences(way.source, rows, loading.members), "they changed since they were read"
    )
    return rows


def _load(archiver: Archiver, way: TenantRoute, loading: Move, work: Path) -> None:
    """The stored rows into the target, read back and compared."""
    placement, model = way.target.placement, archiver.model
    session = placement.sessions[SHARD]
    prove_shape(placement)
    with opened(archiver, work, loading) as archive, triggers_disabled(session, model, SHARD):
        load_database(_incoming(archiver, way, loading, archive), SHARD, LiveNeighbors(kept=()))
        session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")
    changed = differences(way.target, way.target.rows(), loading.members, loading.offsets)
    _refuse_different(archiver, loading, changed, f"they did not come into {loading.target} as they are")


def _incoming(archiver: Archiver, way: TenantRoute, loading: Move, archive: Archive) -> IncomingArchive:
    placement = way.target.placement
    mapping = fit.mapped(placement, archive.manifest)[SHARD]
    if mapping.problems or mapping.lost or not all(table.plain for table in mapping.tables):
        raise RefusedError(
            f"Moving from {loading.source} to {loading.target} refused: their tables have other shapes.",
            hint="Migrate both alike first.",
        )
    mappings = {SHARD: renumbered(mapping, archiver.model, placement.schemas[SHARD], [loading.offsets])}
    return IncomingArchive(placement=placement, model=archiver.model, archive=archive, mappings=mappings)


def _refuse_different(archiver: Archiver, loading: Move, changed: list[str], why: str) -> None:
    if changed:
        raise RefusedError(
            f"Moving {archiver.model.tenant.noun} {loading.tenant_id} refused, {why}: {', '.join(changed)}.",
            hint="It stays where it was. Run the same command again.",
        )


def _point(archiver: Archiver, loading: Move) -> None:
    """Master names the target from here on; belongs into the transaction of the move."""
    tenant, master = archiver.model.tenant, archiver.databases.master
    query = SQL("UPDATE {} SET {} = %s WHERE {} = %s AND {} = %s").format(
        identifier(tenant.table), Identifier(str(tenant.shard)), Identifier(tenant.key), Identifier(str(tenant.shard))
    )
    args = (loading.target, loading.tenant_id, loading.source)
    if master.execute(query, args, doing=f"writing the shard of {tenant.noun} {loading.tenant_id}") != 1:
        raise RefusedError(f"{tenant.noun.capitalize()} {loading.tenant_id} is not on {loading.source} any more.")
    move_record.switched(master, loading)
    audit_log.log(master, "move", loading, _details(loading))


def _details(loading: Move) -> dict[str, object]:
    return {"from": loading.source, "to": loading.target, "rows": loading.rows, "sha256": loading.sha256}


def _step_back(archiver: Archiver, planned: Move) -> None:
    """Where master still names the source all is as it was; where that can't be seen, a rerun settles it."""
    with suppress(CutoverError):
        for left in move_record.interrupted(archiver.databases.master, [planned.tenant_id]):
            if left.state is not move_record.MoveState.SWITCHED:
                withdraw(archiver, left)
