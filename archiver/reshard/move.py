"""Move one tenant from a shard to another: extract, pack, store, verify; then load the target and empty the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from archiver.catalog.model import MASTER, SHARD
from archiver.completeness.recheck import recheck
from archiver.delete.commit import Accounts, Recorded, Transaction, delete_and_commit
from archiver.delete.delete import delete
from archiver.delete.unchanged import prove_shape
from archiver.extract.one import extract_one
from archiver.extract.packed import Packed
from archiver.format.bundle import Archive
from archiver.load import fit
from archiver.load.load import IncomingArchive, LiveNeighbors, load_database, sharable
from archiver.load.obstacles import refused_by_rows
from archiver.load.proof import proven
from archiver.load.relocate import renumbered
from archiver.postgres import tenants
from archiver.postgres.account import Account
from archiver.postgres.databases import Databases, Placement
from archiver.postgres.selection import Selection
from archiver.postgres.tenants import Tenant
from archiver.records import archive_record, markers, move_record
from archiver.records.id_offsets import Offsets
from archiver.records.markers import MOVED_IN, MOVED_OUT
from archiver.records.move_record import Move, Route
from archiver.records.placement_history import regions
from archiver.records.state import State
from archiver.reshard.id_ranges import reserved, uncovered
from archiver.reshard.settle import Ended, end, marker_content, remember, settle_move, switch
from archiver.reshard.shard_rows import ShardRows, counts, differences, shard_rows
from archiver.runs.context import Archiver, new_location, opened, pack
from archiver.runs.pipeline import stored_and_verified
from errors import CutoverError, RefusedError
from formatting import plural


@dataclass(frozen=True, kw_only=True)
class TenantRoute:
    """A tenant's rows on the source, and their destination."""

    tenant: Tenant
    source: ShardRows
    target: ShardRows

    @property
    def placements(self) -> tuple[Placement, Placement]:
        """Both shards, each with master."""
        return self.source.placement, self.target.placement


def move(archiver: Archiver, tenant: Tenant, route: Route, year: int, work: Path) -> Ended:
    """Move a tenant; the caller holds its locks and keeps the application off it.

    Raises RefusedError, with nothing changed, if rows are in the way, are shared, or change meanwhile.
    """
    _check_shard(archiver, tenant, route)
    tenant_route = route_of(archiver, tenant, route)
    for refusal in refusals(archiver, tenant_route, route):
        raise refusal
    planned = move_record.plan(archiver.databases.master, tenant, route, year, new_location(archiver, year, tenant.id))
    try:
        packed = pack(archiver, extract_one(tenant_route.source.placement, archiver.model, tenant, year, work), work)
        stored = _stored(archiver, planned, packed, work)
        loading = move_record.loading(
            archiver.databases.master, stored, offsets_of(archiver, tenant_route, route, reserved)
        )
        deleted = _swap(archiver, tenant_route, loading, work)
    except CutoverError:
        _step_back(archiver, planned)
        raise
    return end(archiver, loading, deleted)


def _check_shard(archiver: Archiver, tenant: Tenant, route: Route) -> None:
    """Raise RefusedError if the tenant is no longer on the source; checked again under the lock."""
    now = tenants.tenant(archiver.databases.master, archiver.model.tenant, tenant.id)
    if now is None or now.shard != route.source:
        raise RefusedError(f"{archiver.model.tenant.noun.capitalize()} {tenant.id} is no longer on {route.source}.")


def route_of(archiver: Archiver, tenant: Tenant, route: Route) -> TenantRoute:
    """Return a tenant's rows on the source and on the target."""
    source_rows = shard_rows(archiver.databases.placement(route.source), archiver.model, tenant.id)
    return TenantRoute(
        tenant=tenant, source=source_rows, target=source_rows.on(archiver.databases.placement(route.target))
    )


def refusals(archiver: Archiver, tenant_route: TenantRoute, route: Route) -> Iterator[RefusedError]:
    """Yield why a move would leave a row on both shards, or two rows with the same id on one."""
    noun, model = archiver.model.tenant.noun, archiver.model
    refused = f"Moving {noun} {tenant_route.tenant.id} from {route.source} to {route.target} refused"
    for record in archive_record.of_tenant(archiver.databases.master, tenant_route.tenant.id):
        if record.state in (State.DELETING, State.RESTORING):
            yield RefusedError(
                f"{refused}: it is {record.state.value} for {record.year}.",
                hint="Run the interrupted command again to complete it.",
            )
    shared = {str(table) for table in sharable(model, tenant_route.source.placement.schemas) if table.database == SHARD}
    shared |= {str(need.child) for need in model.external_links if need.child.database == SHARD}
    if shared:
        yield RefusedError(f"{refused}: several {plural(noun)} may share rows of {', '.join(sorted(shared))}.")
    if existing := counts(tenant_route.target.rows()):
        rows = ", ".join(f"{name} ({number})" for name, number in existing.items())
        yield RefusedError(f"{refused}: rows of it are already on {route.target}: {rows}.")


def _stored(archiver: Archiver, planned: Move, packed: Packed, work: Path) -> Move:
    """Store the tarball, record it, and verify what the store returns. Return the record."""
    recorded = partial(move_record.stored, archiver.databases.master, planned, packed.extract.manifest)
    return stored_and_verified(archiver, packed, planned.location, archiver.model, recorded, work)[0]


def offsets_of(
    archiver: Archiver, tenant_route: TenantRoute, route: Route, reserve: Callable[[Databases, Route, int], Offsets]
) -> Offsets:
    """Return the offsets of the two shards, with a place for every id of the tenant; `reserve` gives new ones."""
    existing = regions(archiver.databases.master, route.source, route.target)
    highest = uncovered(tenant_route.source, tenant_route.source.rows(), existing)
    return reserve(archiver.databases, route, highest) if highest or not existing else existing


def _swap(archiver: Archiver, tenant_route: TenantRoute, loading: Move, work: Path) -> Selection:
    """Lock, load and verify everything before anything commits: the target first, then master, then the source.

    Return the rows that were deleted from the source.

    A reader sees the complete tenant at any time, on the shard that master names.
    """
    source, target = tenant_route.placements
    what, hint = f"moving {archiver.model.tenant.noun} {loading.tenant_id}", "Change or remove what is in the way."
    in_order = (
        (target.sessions[SHARD], SHARD, f"{what} into {loading.target}"),
        (source.master, MASTER, f"{what} in master"),
        (source.sessions[SHARD], SHARD, f"{what} out of {loading.source}"),
    )
    transactions = [
        Transaction(session=session, doing=doing, written_besides=archiver.model.written_besides(database))
        for session, database, doing in in_order
    ]
    with opened(archiver, work, loading) as archive:
        incoming = incoming_archive(archiver, tenant_route, loading.offsets, archive)
        locks = _MoveLocks(archiver=archiver, tenant_route=tenant_route, loading=loading, incoming=incoming)
        with refused_by_rows(what.capitalize(), hint, [incoming]):
            return delete_and_commit("Moving", locks, transactions, locks.record)


@dataclass(frozen=True, kw_only=True)
class _MoveLocks:
    """The locks of a tenant's rows on the source, in key order; they are loaded into the target as they are deleted."""

    archiver: Archiver
    tenant_route: TenantRoute
    loading: Move
    incoming: IncomingArchive

    def lock(self) -> Selection:
        source = self.tenant_route.source
        recheck(source.placement, self.archiver.model, source.placement.sessions)
        return source.rows(locked=True)

    def unchanged(self, rows: Selection) -> Selection:
        source = self.tenant_route.source
        prove_shape(source.placement)
        changed = differences(source, rows, self.loading.members)
        _refuse_different(self.archiver, self.loading, changed, "they changed since they were read")
        return rows

    def delete(self, rows: Selection, accounts: Accounts) -> None:
        source, target = self.tenant_route.placements
        into_target, from_source = accounts[target.sessions[SHARD]], accounts[source.sessions[SHARD]]
        _load(self.archiver, self.tenant_route, self.loading, self.incoming, into_target)
        delete(source, self.tenant_route.source.model, SHARD, rows.by_table, from_source)
        switch(self.archiver, self.loading, accounts[source.master])

    def record(self, rows: Selection) -> Recorded[Selection]:
        """Write the markers, and the keys by which late rows are found; return the rows deleted from the source."""
        source, target = self.tenant_route.placements
        remember(self.archiver, self.loading, self.tenant_route.source, rows)
        content = marker_content(self.archiver, self.loading)
        markers.write(target.sessions[SHARD], self.loading, MOVED_IN, content)
        markers.write(source.sessions[SHARD], self.loading, MOVED_OUT, content)
        return Recorded(result=rows, bucket=self.archiver.bucket, archives=[self.loading])


def _load(
    archiver: Archiver, tenant_route: TenantRoute, loading: Move, incoming: IncomingArchive, account: Account
) -> None:
    """Load the stored rows into the target, read them back, and compare."""
    placement = tenant_route.target.placement
    recheck(placement, archiver.model, [SHARD])
    prove_shape(placement)
    with proven(account, archiver.model, SHARD) as proof:
        load_database(incoming, SHARD, LiveNeighbors(retained=()), proof)
    changed = differences(tenant_route.target, tenant_route.target.rows(), loading.members, loading.offsets)
    _refuse_different(archiver, loading, changed, f"they are not in {loading.target} as they were")


def incoming_archive(
    archiver: Archiver, tenant_route: TenantRoute, offsets: Offsets, archive: Archive
) -> IncomingArchive:
    """Return the archive with its mapping onto the target; raise RefusedError if the tables differ."""
    source, target = tenant_route.placements
    mapping = fit.mapped(target, archive.manifest)[SHARD]
    if mapping.problems or mapping.lost or not all(table.plain for table in mapping.tables):
        raise RefusedError(
            f"Moving from {source.shard} to {target.shard} refused: their table definitions differ.",
            hint="Apply the same migrations to both first.",
        )
    mappings = {SHARD: renumbered(mapping, archiver.model, target.schemas[SHARD], [offsets])}
    return IncomingArchive(placement=target, model=archiver.model, archive=archive, mappings=mappings)


def _refuse_different(archiver: Archiver, loading: Move, changed: list[str], why: str) -> None:
    """Raise RefusedError if rows differ."""
    if changed:
        raise RefusedError(
            f"Moving {archiver.model.tenant.noun} {loading.tenant_id} refused, {why}: {', '.join(changed)}.",
            hint="It stays where it was. Run the same command again.",
        )


def _step_back(archiver: Archiver, planned: Move) -> None:
    """Withdraw the move if master still names the source; if that can't be read, a rerun settles it."""
    with suppress(CutoverError):
        for left in move_record.interrupted(archiver.databases.master, [planned.tenant_id]):
            if left.state is not State.SWITCHED:
                settle_move(archiver, left)
