"""Estimate the duration of archiving: tenants' sizes times the rates of this environment; pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from archiver.estimate.rates import Rates
from archiver.estimate.sizes import TenantSize
from archiver.runs.eta import Eta


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The estimate for one tenant, or for several one after the other; times in seconds."""

    tenants: int
    rows: int
    bytes: int  # in the live tables
    size: int  # bytes of the tarballs
    archive: float  # in total
    extract: float
    verify: float
    delete: float | None  # None: never measured, and not included in `archive`
    restore: float  # assumed to take as long as `verify`


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The estimate, and what it is based on."""

    all_tenants: Expected
    together: float  # seconds, if they are archived in one run
    workers: int  # of that run
    biggest: tuple[tuple[TenantSize, Expected], ...]
    rates: Rates
    analyzed_at: datetime | None  # time of the oldest statistics

    def to_json(self) -> dict[str, Any]:
        """Return plain data: times in ISO format."""
        return {
            "everybody": asdict(self.all_tenants),
            "together": self.together,
            "workers": self.workers,
            "biggest": [{"tenant_id": size.tenant.id, **asdict(expected)} for size, expected in self.biggest],
            "rates": asdict(self.rates),
            "analyzed_at": self.analyzed_at.isoformat() if self.analyzed_at else None,
        }


def estimate(
    sizes: Sequence[TenantSize], rates: Rates, top: int, analyzed_at: datetime | None, *, workers: int, in_sets: bool
) -> Estimate:
    """Return the estimate for archiving these tenants, biggest first; the first `top` also individually.

    `in_sets`: a run over many archives them in sets with this number of workers; otherwise one by one.
    """
    all_tenants = _expected(sizes, rates)
    pace = Eta(rows=all_tenants.rows, workers=workers)
    return Estimate(
        all_tenants=all_tenants,
        together=pace.left(timedelta(), 0).total_seconds() if in_sets else all_tenants.archive,
        workers=workers,
        biggest=tuple((size, _expected([size], rates)) for size in sizes[:top]),
        rates=rates,
        analyzed_at=analyzed_at,
    )


def _expected(sizes: Sequence[TenantSize], rates: Rates) -> Expected:
    """Return the estimate for these tenants, one after the other."""
    tenants, rows = len(sizes), sum(size.rows for size in sizes)
    verify = rates.verify.seconds(tenants, rows)
    return Expected(
        tenants=tenants,
        rows=round(rows),
        bytes=round(sum(size.bytes for size in sizes)),
        size=round(rows * rates.bytes_per_row),
        archive=rates.archive.seconds(tenants, rows),
        extract=rates.extract.seconds(tenants, rows),
        verify=verify,
        delete=rates.delete.seconds(tenants, rows) if rates.delete else None,
        restore=verify,
    )
