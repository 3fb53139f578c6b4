"""What archiving will take: sizes of tenants by the rates of this environment; pure."""

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
    """What is expected of one tenant, or of several one after the other; times in seconds."""

    tenants: int
    rows: int
    bytes: int  # in the live tables
    size: int  # bytes of the tarballs
    archive: float  # the whole of it
    extract: float
    verify: float
    delete: float | None  # none: it was never measured, and is missing in `archive` too
    restore: float  # taken to last as long as its proof


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What is expected, and what that rests on."""

    all_tenants: Expected
    together: float  # seconds, where they are archived in one run
    workers: int  # of that run
    biggest: tuple[tuple[TenantSize, Expected], ...]
    rates: Rates
    analyzed_at: datetime | None  # when the oldest of the statistics were made

    def to_json(self) -> dict[str, Any]:
        """Plain data: times in ISO format."""
        return {
            "everybody": asdict(self.all_tenants),
            "together": self.together,
            "workers": self.workers,
            "biggest": [{"tenant_id": one.tenant.id, **asdict(itself)} for one, itself in self.biggest],
            "rates": asdict(self.rates),
            "analyzed_at": self.analyzed_at.isoformat() if self.analyzed_at else None,
        }


def estimate(
    sizes: Sequence[TenantSize], rates: Rates, top: int, analyzed_at: datetime | None, *, workers: int, in_sets: bool
) -> Estimate:
    """What archiving these tenants comes to, the biggest first; `top` of them also one by one.

    `in_sets` says whether a run over many archives them in sets, with so many workers; else it takes one by one.
    """
    everybody = _expected(sizes, rates)
    pace = Eta(rows=everybody.rows, workers=workers)
    return Estimate(
        all_tenants=everybody,
        together=pace.left(timedelta(), 0).total_seconds() if in_sets else everybody.archive,
        workers=workers,
        biggest=tuple((one, _expected([one], rates)) for one in sizes[:top]),
        rates=rates,
        analyzed_at=analyzed_at,
    )


def _expected(sizes: Sequence[TenantSize], rates: Rates) -> Expected:
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
