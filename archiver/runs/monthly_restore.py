"""A month back into the live shards, of one tenant or of all, each as a whole or not at all."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from archiver.catalog.activity_rules import Rules, rules
from archiver.delete.settle_month import settle_tenant
from archiver.extract.month import NO_TENANT
from archiver.format import encryption
from archiver.format.spool_folder import work_folder
from archiver.load.load import Loaded
from archiver.postgres import tenants
from archiver.postgres.databases import Placement
from archiver.postgres.triggers import triggers_disabled
from archiver.records import archive_record, move_record, slice_record
from archiver.records.placement import ends_in
from archiver.records.slice_record import Slice
from archiver.runs import month_object, monthly_slices
from archiver.runs.context import Archiver
from archiver.runs.monthly_slices import IncomingSlice
from archiver.runs.restore_order import refuse_without_parents
from errors import CutoverError, RefusedError, UsageError


@dataclass(frozen=True, kw_only=True)
class Returned:
    """What became of one tenant's month."""

    tenant_id: int  # 0: rows of nobody
    seconds: float
    tables: Mapping[str, Loaded]  # pretended: what would be loaded
    error: CutoverError | None = None


OnReturned = Callable[[Returned], None]


def restore_month(
    archiver: Archiver, month: str, tenant_id: int | None, on_result: OnReturned, *, pretend: bool = False
) -> list[Returned]:
    """Brings a month back; a tenant that fails stays as it is and is reported, the others go on.

    Raises UsageError, with nothing touched, where nothing of the month is archived, or it is encrypted and there is no
    identity. What came back is left alone by monthly runs until it is released.
    """
    kind, noun = rules(archiver.model), archiver.model.tenant.noun
    wanted = slice_record.of_month(archiver.databases.master, month, tenant_id)
    if not wanted:
        whose = f" of {noun} {tenant_id}" if tenant_id is not None else ""
        raise UsageError(f"No activity of {month}{whose} is archived.", hint="inv activity.list shows what is.")
    encryption.refuse_if_closed((one.name(noun) for one in wanted), archiver.keys)
    outcomes = []
    for who, shard in dict.fromkeys((one.tenant_id, _lies_in(archiver, one)) for one in wanted):
        outcomes.append(_attempt(archiver, kind, month, who, shard, pretend=pretend))
        on_result(outcomes[-1])
    return outcomes


def _attempt(archiver: Archiver, kind: Rules, month: str, tenant_id: int, shard: str, *, pretend: bool) -> Returned:
    began, noun = time.monotonic(), archiver.model.tenant.noun
    try:
        with work_folder(archiver.work) as work, archiver.databases.tenant_lock(noun, tenant_id, shard):
            site = archiver.databases.placement(shard)
            _refuse_if_away(kind, site, month, tenant_id)
            if not pretend:
                settle_tenant(archiver.databases, kind, tenant_id)
            wanted = _wanted(archiver, shard, month, tenant_id)
            _refuse_below_archived(kind.model.tenant.noun, site, wanted)
            tables = _restore(archiver, kind, site, wanted, work, pretend=pretend)
        return Returned(tenant_id=tenant_id, seconds=time.monotonic() - began, tables=tables)
    except CutoverError as error:
        return Returned(tenant_id=tenant_id, seconds=time.monotonic() - began, tables={}, error=error)


def _refuse_if_away(kind: Rules, placement: Placement, month: str, tenant_id: int) -> None:
    """RefusedError where a tenant is not live on the shard to which its month belongs, or half moved."""
    move_record.refuse_half_moved(placement.master, kind.model.tenant.noun, [tenant_id])
    noun, live = kind.model.tenant.noun, tenants.tenant(placement.master, kind.model.tenant, tenant_id)
    if tenant_id != NO_TENANT and live is None:
        raise RefusedError(
            f"Restoring {month} of {noun} {tenant_id} refused: the {noun} is not live.",
            hint=f"inv restore.{noun} {tenant_id} brings it back, and all its months.",
        )
    if live is not None and live.shard != placement.shard:
        raise monthly_slices.wrong_shard_error(noun, tenant_id, month, placement.shard, live.shard)


def _refuse_below_archived(noun: str, placement: Placement, wanted: Sequence[Slice]) -> None:
    """RefusedError where the rows above are archived, though their tenant is live: these would be rows of nobody."""
    for one in wanted:
        if whole := monthly_slices.parent_archive(one, archive_record.of_tenant(placement.master, one.tenant_id)):
            raise RefusedError(
                f"Restoring {one.month.month} of {noun} {one.tenant_id} refused: what its rows lie below is archived.",
                hint=f"inv restore.{noun} {one.tenant_id} --year={whole.year} brings it back, and its months.",
            )


def _wanted(archiver: Archiver, shard: str, month: str, tenant_id: int) -> list[Slice]:
    """A tenant's slices of the month that belong to a shard, now under the lock."""
    of_month = (one for one in slice_record.of_tenant(archiver.databases.master, tenant_id) if one.month.month == month)
    return [one for one in of_month if _lies_in(archiver, one) == shard]


def _lies_in(archiver: Archiver, one: Slice) -> str:
    """The shard in which a live tenant's slice belongs today."""
    return ends_in(one.month.shard, monthly_slices.slice_relocations(archiver.databases, one))


def _restore(
    archiver: Archiver, kind: Rules, placement: Placement, wanted: Sequence[Slice], work: Path, *, pretend: bool
) -> dict[str, Loaded]:
    with monthly_slices.opened(archiver, placement, wanted, work) as coming:
        if pretend:
            archives = [each.incoming.archive for each in coming]
            for archive in archives:  # between two of them tables may have changed
                month_object.prove([archive], archiver, kind)
            return monthly_slices.rows_to_load(archives)
        return _load(kind, placement, coming)


def _load(kind: Rules, placement: Placement, coming: Sequence[IncomingSlice]) -> dict[str, Loaded]:
    """Loads the shard, with markers by which a rerun skips it, then ends the record in master."""
    session, what = placement.sessions[kind.database], f"restoring activity on {placement.shard}"
    tables: dict[str, Loaded] = {}
    with session.transaction(doing=what), triggers_disabled(session, kind.model, kind.database):
        for each in coming:
            refuse_without_parents(kind, each)
            tables = monthly_slices.combined(tables, monthly_slices.load([each]))
        session.execute("SET CONSTRAINTS ALL IMMEDIATE", doing="proving the foreign keys")
    with placement.master.transaction(doing=what):
        monthly_slices.end(
            placement.master, [each.slice for each in coming], coming[0].slice.tenant_id if coming else NO_TENANT
        )
    return tables
