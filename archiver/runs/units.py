"""The units of work of a run over many: some tenants of one shard, from their rows to verified archives. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import ceil
from operator import attrgetter

from archiver.postgres.tenants import Tenant
from archiver.records.archive_record import ArchiveRequest
from archiver.runs.context import ArchiveOutcome
from errors import CutoverError


@dataclass(frozen=True, kw_only=True)
class Unit:
    """May be done again, by anybody: what was verified stays, all else begins anew."""

    shard: str
    tenant_ids: tuple[int, ...]
    request: ArchiveRequest


@dataclass(frozen=True, kw_only=True)
class UnitResult:
    """What became of a unit."""

    unit: Unit
    outcomes: Sequence[ArchiveOutcome] = ()  # of those that were verified, and of those that failed
    error: CutoverError | None = None  # that broke the unit off


def split(tenants: Sequence[Tenant], request: ArchiveRequest, workers: int) -> list[Unit]:
    """A unit for each shard, or several where there are fewer shards than workers; the one with most tenants first."""
    by_shard = [(shard, list(group)) for shard, group in groupby(sorted(tenants, key=_place), attrgetter("shard"))]
    parts = ceil(workers / max(1, len(by_shard)))
    units = [
        Unit(shard=shard, tenant_ids=tuple(tenant.id for tenant in part), request=request)
        for shard, of_shard in by_shard
        for part in _parts(of_shard, parts)
    ]
    return sorted(units, key=lambda unit: -len(unit.tenant_ids))


_place = attrgetter("shard", "id")


def _parts(tenants: Sequence[Tenant], number: int) -> Iterator[Sequence[Tenant]]:
    """Every so manieth, so that schools which were made at one time, and are alike, are spread."""
    yield from (part for start in range(number) if (part := tenants[start::number]))
