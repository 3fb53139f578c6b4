"""The units of work of a bulk run: some tenants of one shard, from rows to verified archives. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from operator import attrgetter

from archiver.postgres.tenants import Tenant
from archiver.records.archive_request import ArchiveRequest
from archiver.runs.context import ArchiveOutcome
from errors import CutoverError
from inventory.keys import Key


@dataclass(frozen=True, kw_only=True)
class Unit:
    """Some tenants of one shard. Any worker may repeat a unit: verified archives stay, the rest starts again."""

    shard: str
    tenant_ids: tuple[Key, ...]
    request: ArchiveRequest


@dataclass(frozen=True, kw_only=True)
class UnitResult:
    """The result of a unit."""

    unit: Unit
    outcomes: Sequence[ArchiveOutcome] = ()  # of verified and failed tenants
    error: CutoverError | None = None  # that stopped the unit


def split(tenants: Sequence[Tenant], request: ArchiveRequest, workers: int) -> list[Unit]:
    """Return a unit per shard, or several if there are fewer shards than workers; the largest unit comes first."""
    by_shard = [
        (shard, list(group)) for shard, group in groupby(sorted(tenants, key=_by_shard_and_id), attrgetter("shard"))
    ]
    parts = ceil(workers / max(1, len(by_shard)))
    units = [
        Unit(shard=shard, tenant_ids=tuple(tenant.id for tenant in part), request=request)
        for shard, of_shard in by_shard
        for part in _parts(of_shard, parts)
    ]
    return sorted(units, key=lambda unit: -len(unit.tenant_ids))


_by_shard_and_id = attrgetter("shard", "id")


def _parts(tenants: Sequence[Tenant], number: int) -> Iterator[Sequence[Tenant]]:
    """Yield every n-th tenant per part: tenants created together are alike in size, so they are spread."""
    yield from (part for start in range(number) if (part := tenants[start::number]))
