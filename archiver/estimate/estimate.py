"""Estimate the duration of archiving: tenants' sizes times the rates of this environment; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from archiver.estimate.rates import Rates
from archiver.estimate.sizes import TenantSize
from archiver.runs.eta import Eta
from errors import RefusedError


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
    heads: Mapping[str, int] = field(default_factory=dict)  # classrooms, students …: how many


@dataclass(frozen=True, kw_only=True)
class OfBytes:
    """The estimate for live rows of that many bytes, spread over tenants as the rows here are."""

    bytes: int  # in the live tables
    rows: int
    size: int  # bytes of the tarballs
    together: float  # seconds, if they are archived in one run
    heads: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The estimate, and what it is based on."""

    all_tenants: Expected
    together: float  # seconds, if they are archived in one run
    workers: int  # of that run
    biggest: tuple[tuple[TenantSize, Expected], ...]
    rates: Rates
    analyzed_at: datetime | None  # time of the oldest statistics
    of_bytes: OfBytes | None = None  # None: not asked for

    def to_json(self) -> dict[str, Any]:
        """Return plain data: times in ISO format."""
        return {
            "everybody": asdict(self.all_tenants),
            "together": self.together,
            "workers": self.workers,
            "biggest": [{"tenant_id": size.tenant.id, **asdict(expected)} for size, expected in self.biggest],
            "rates": asdict(self.rates),
            "analyzed_at": self.analyzed_at.isoformat() if self.analyzed_at else None,
            **({"of_bytes": asdict(self.of_bytes)} if self.of_bytes else {}),
        }


def estimate(
    sizes: Sequence[TenantSize],
    rates: Rates,
    top: int,
    analyzed_at: datetime | None,
    *,
    workers: int,
    in_sets: bool,
    of_bytes: int | None = None,
) -> Estimate:
    """Return the estimate for archiving these tenants, biggest first; the first `top` also individually.

    `in_sets`: a run over many archives them in sets with this number of workers; otherwise one by one. `of_bytes` asks
    for the estimate for that many bytes of such rows, too; RefusedError if there are no rows to tell from.
    """
    all_tenants = _expected(sizes, rates)
    together = in_one_run(all_tenants.rows, workers) if in_sets else all_tenants.archive
    return Estimate(
        all_tenants=all_tenants,
        together=together,
        workers=workers,
        biggest=tuple((size, _expected([size], rates)) for size in sizes[:top]),
        rates=rates,
        analyzed_at=analyzed_at,
        of_bytes=None if of_bytes is None else _of_bytes(of_bytes, all_tenants, together),
    )


def _of_bytes(asked: int, all_tenants: Expected, together: float) -> OfBytes:
    """Return the estimate for other bytes: every figure grows with them, as the times do with the rows."""
    if not all_tenants.bytes:
        message = "Estimating refused: there are no live rows here to tell from."
        raise RefusedError(message, hint="Ask an environment with such rows.")
    times = asked / all_tenants.bytes
    return OfBytes(
        bytes=asked,
        rows=round(all_tenants.rows * times),
        size=round(all_tenants.size * times),
        together=together * times,
        heads={name: round(count * times) for name, count in all_tenants.heads.items()},
    )


def in_one_run(rows: int, workers: int) -> float:
    """Return the seconds in which a run over many tenants archives that many rows."""
    return Eta(rows=rows, workers=workers).left(timedelta(), 0).total_seconds()


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
        heads=_heads(sizes),
    )


def _heads(sizes: Sequence[TenantSize]) -> dict[str, int]:
    names = dict.fromkeys(name for size in sizes for name in size.heads)
    return {name: round(sum(size.heads.get(name, 0) for size in sizes)) for name in names}
