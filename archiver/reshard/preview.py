"""Preview a merge or a split: rows are read, staged beside those of the target, and rolled back. Nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from archiver.completeness import completeness
from archiver.extract.one import extract_one
from archiver.format import bundle
from archiver.format.encryption import Keys
from archiver.format.spool_folder import work_folder
from archiver.load.obstacles import compare_with_live
from archiver.postgres.tenants import Tenant
from archiver.records import move_record
from archiver.records.id_offsets import Offsets
from archiver.records.move_record import Move, Route
from archiver.reshard.id_ranges import with_new
from archiver.reshard.merge_split import refuse_invalid_route, refuse_unready, tenants_to_move
from archiver.reshard.move import TenantRoute, incoming_archive, offsets_of, refusals, route_of
from archiver.reshard.shard_rows import counts
from archiver.runs.context import Archiver
from archiver.runs.each import Done, Outcome, for_each
from archiver.runs.settle import settle
from errors import RefusedError
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class MovePreview:
    """The effects of moving one tenant."""

    rows: Mapping[str, int]  # of the shard, by table
    offsets: Offsets = ()
    left: Move | None = None  # an interrupted move, which would be settled
    in_the_way: tuple[str, ...] = ()

    @property
    def done(self) -> Done[MovePreview]:
        """The preview, with an error if the tenant can't be moved."""
        error = RefusedError("; ".join(self.in_the_way)) if self.in_the_way else None
        return Done(rows=sum(self.rows.values()), detail=self, error=error)


Previewed = Outcome[Key, MovePreview]  # of a tenant's id
OnPreviewed = Callable[[Previewed], None]


def preview_all(
    archiver: Archiver, route: Route, year: int, on_result: OnPreviewed, only: Collection[Key] = ()
) -> list[Previewed]:
    """Return the effects of `move_all` on each tenant; raise what it would raise before the first.

    Takes no lock of a run, and writes no record. The product's tables are only read, in a transaction a tenant.
    """
    databases = archiver.databases
    refuse_invalid_route(route, databases.shards)
    to_move = {tenant.id: tenant for tenant in tenants_to_move(databases, route, only)}
    completeness.prove_complete(databases)
    settle(archiver, [route.source, route.target], pretend=True)
    refuse_unready(databases, route)
    return for_each(
        to_move,
        lambda tenant_id: _preview(archiver, to_move[tenant_id], route, year).done,
        on_result,
        databases=databases,
    )


def _preview(archiver: Archiver, tenant: Tenant, route: Route, year: int) -> MovePreview:
    if left := move_record.interrupted(archiver.databases.master, [tenant.id]):
        return _of_interrupted(left[0], route)
    with work_folder(archiver.work) as work:
        return _of_fresh(archiver, route_of(archiver, tenant, route), route, year, work)


def _of_interrupted(left: Move, route: Route) -> MovePreview:
    """Return the preview of a move that was interrupted: its own route ends it."""
    blocked = left.in_two_shards and left.route != route
    return MovePreview(
        rows=left.rows,
        offsets=left.offsets,
        left=left,
        in_the_way=(f"it is half moved, which ends first: {left.command}",) if blocked else (),
    )


def _of_fresh(archiver: Archiver, tenant_route: TenantRoute, route: Route, year: int, work: Path) -> MovePreview:
    """Read a tenant's rows, and stage them on the target if nothing forbids it yet. `work` must be empty."""
    rows, refused = counts(tenant_route.source.rows()), list(refusals(archiver, tenant_route, route))
    offsets = offsets_of(archiver, tenant_route, route, with_new)
    in_the_way: Iterable[object] = refused or _staged(archiver, tenant_route, offsets, year, work)
    return MovePreview(
        rows=rows,
        offsets=offsets,
        in_the_way=tuple(map(str, in_the_way)),
    )


def _staged(archiver: Archiver, tenant_route: TenantRoute, offsets: Offsets, year: int, work: Path) -> Iterable[object]:
    """Return what the target would refuse a tenant's rows for."""
    extract = extract_one(tenant_route.source.placement, archiver.model, tenant_route.tenant, year, work)
    _, path = bundle.pack(extract.manifest, extract.rows, Keys(), work)
    with bundle.opened(path, Keys()) as archive:
        comparison = compare_with_live(incoming_archive(archiver, tenant_route, offsets, archive), ())
    return comparison.refused_rows  # a move advances the sequences before it loads
