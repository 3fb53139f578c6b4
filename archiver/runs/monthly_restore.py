"""Restore a month's activity into the live shards, for one tenant or all; each completely or not at all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archiver.catalog.activity_rules import Rules, rules
from archiver.delete.settle_month import settle_tenant
from archiver.extract.month import NO_TENANT
from archiver.format import encryption
from archiver.format.spool_folder import work_folder
from archiver.load.load import Loaded
from archiver.load.obstacles import refused_by_rows
from archiver.load.proof import proven
from archiver.postgres import tenants
from archiver.postgres.account import accounted
from archiver.postgres.databases import Placement
from archiver.records import archive_record, move_record, slice_record
from archiver.records.slice_record import Slice
from archiver.runs import month_object, monthly_slices
from archiver.runs.context import Archiver
from archiver.runs.each import Done, Outcome, for_each
from archiver.runs.monthly_slices import IncomingSlice
from archiver.runs.restore_order import refuse_without_parents
from archiver.runs.returning import ReturningMonth, parent_archive, returning_month
from archiver.runs.settle import asking_markers, settle
from archiver.verify.scratch import ScratchDatabase
from errors import RefusedError, UsageError
from inventory.keys import Key, typed


@dataclass(frozen=True, kw_only=True)
class TenantOnShard:
    """A tenant, and the shard to which its months belong today."""

    tenant_id: Key  # 0: rows of no tenant
    shard: str
    size: int  # bytes of its slices of the month


Returned = Outcome[TenantOnShard, Mapping[str, Loaded]]  # by table; pretended: rows to load
OnReturned = Callable[[Returned], None]


def tenants_of_month(archiver: Archiver, month: str, tenant_id: Key | None) -> list[TenantOnShard]:
    """Return the tenants with archived activity of a month, or one of them; rows of no tenant count as one.

    Raises UsageError if there are none, the catalog has no activity, or they are encrypted and no identity was given.
    """
    rules(archiver.model)
    noun = archiver.model.tenant.noun
    slices = slice_record.of_month(archiver.databases.master, month, tenant_id)
    if not slices:
        subject = f" of {noun} {tenant_id}" if tenant_id is not None else ""
        with asking_markers(archiver):
            hint = "inv activity.list shows all archives."
            raise UsageError(f"No activity of {month}{subject} is archived.", hint=hint)
    encryption.refuse_if_closed((each.name(noun) for each in slices), archiver.keys)
    sizes = Counter[tuple[Key, str]]()
    for number in dict.fromkeys(each.tenant_id for each in slices):
        for month_back in returning_month(archiver.databases, month, number):
            sizes[number, month_back.shard] += month_back.slice.size
    return [TenantOnShard(tenant_id=number, shard=shard, size=size) for (number, shard), size in sizes.items()]


def restore_month(
    archiver: Archiver, month: str, of_month: Sequence[TenantOnShard], on_result: OnReturned, *, pretend: bool = False
) -> list[Returned]:
    """Restore a month of these tenants. One that fails stays as it is and is reported; the others continue.

    Restored tenants are on hold: monthly runs skip them until they are released.
    """
    activity = rules(archiver.model)
    return for_each(
        of_month,
        lambda on_shard: _restore_month(archiver, activity, month, on_shard, pretend=pretend),
        on_result,
        databases=archiver.databases,
    )


def _restore_month(
    archiver: Archiver, activity: Rules, month: str, on_shard: TenantOnShard, *, pretend: bool
) -> Done[Mapping[str, Loaded]]:
    noun, tenant_id, shard = archiver.model.tenant.noun, on_shard.tenant_id, on_shard.shard
    with work_folder(archiver.work) as work, archiver.databases.tenant_lock(tenant_id, shard):
        placement = archiver.databases.placement(shard)
        settle(archiver, [shard], pretend=pretend)
        _refuse_if_away(activity, placement, month, tenant_id)
        if not pretend:
            settle_tenant(archiver.databases, activity, tenant_id)
        returning = [each for each in returning_month(archiver.databases, month, tenant_id) if each.shard == shard]
        _refuse_below_archived(noun, placement, [each.slice for each in returning])
        tables = _restore(archiver, activity, placement, returning, work, pretend=pretend)
        return monthly_slices.done_loading(tables, sum(each.slice.size for each in returning))


def _refuse_if_away(activity: Rules, placement: Placement, month: str, tenant_id: Key) -> None:
    """Raise RefusedError if a tenant is not live on the shard to which its month belongs, or is partly moved."""
    move_record.refuse_half_moved(placement.master, activity.model.tenant.noun, [tenant_id])
    if tenant_id == NO_TENANT:
        return
    noun, live = activity.model.tenant.noun, tenants.tenant(placement.master, activity.model.tenant, tenant_id)
    if live is None:
        raise RefusedError(
            f"Restoring {month} of {noun} {tenant_id} refused: the {noun} is not live.",
            hint=f"inv restore.school {typed(tenant_id)} brings it back, and all its months.",
        )
    if live.shard != placement.shard:
        raise monthly_slices.wrong_shard_error(noun, tenant_id, month, placement.shard, live.shard)


def _refuse_below_archived(noun: str, placement: Placement, slices: Sequence[Slice]) -> None:
    """Raise RefusedError if the rows' parents are archived, though their tenant is live: they would be orphan rows."""
    for each in slices:
        if parent := parent_archive(each, archive_record.of_tenant(placement.master, each.tenant_id)):
            raise RefusedError(
                f"Restoring {each.month.month} of {noun} {each.tenant_id} refused: "
                "the parents of its rows are archived.",
                hint=f"inv restore.school {typed(each.tenant_id)} --year={parent.year} brings it back, and its months.",
            )


def _restore(
    archiver: Archiver,
    activity: Rules,
    placement: Placement,
    returning: Sequence[ReturningMonth],
    work: Path,
    *,
    pretend: bool,
) -> dict[str, Loaded]:
    with monthly_slices.opened(archiver, placement, returning, work) as incoming_slices:
        if pretend:
            archives = [each.incoming.archive for each in incoming_slices]
            for archive in archives:  # tables may have changed between two of them
                month_object.prove([archive], archiver, activity)
            return monthly_slices.rows_to_load(archives)
        return _load(activity, placement, incoming_slices, archiver.scratch)


def _load(
    activity: Rules, placement: Placement, incoming_slices: Sequence[IncomingSlice], scratch: ScratchDatabase
) -> dict[str, Loaded]:
    """Load the shard, with markers by which a rerun skips it, then end the record in master."""
    session, what = placement.sessions[activity.database], f"restoring activity on {placement.shard}"
    tables: dict[str, Loaded] = {}
    incoming = [each.incoming for each in incoming_slices]
    with (
        refused_by_rows(what.capitalize(), "Change or remove what is in the way.", incoming),
        session.transaction(doing=what),
        accounted(session, "Restoring", activity.model.written_besides(activity.database)) as account,
        proven(account, activity.model, activity.database) as proof,
    ):
        for each in incoming_slices:
            refuse_without_parents(activity, each, scratch)
            tables = monthly_slices.combined(tables, monthly_slices.load([each], proof))
    with placement.master.transaction(doing=what):
        monthly_slices.end(
            placement,
            [each.slice for each in incoming_slices],
            incoming_slices[0].slice.tenant_id if incoming_slices else NO_TENANT,
        )
    return tables
