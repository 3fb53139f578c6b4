"""The biggest schools, and the time they will take: `inv archive.estimate`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

from archiver.estimate import rates, sizes
from archiver.estimate.estimate import Estimate, Expected
from archiver.estimate.estimate import estimate as estimate_of
from archiver.estimate.rates import ArchiveSample, Rates
from archiver.estimate.sizes import TenantSize
from archiver.postgres.tenants import TenantFilter
from archiver.runs.one_by_one import deletes_in_bulk
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of
from formatting import clock_span, many, size
from inventory.model import Environment, Role
from runbooks.archives.night_filter import filter_at
from runbooks.cli.options import ACTS, JSON, Option
from runbooks.cli.parse import count, parse_date
from runbooks.cli.tables import TextTable, show
from runbooks.cli.task import task
from runbooks.cli.text.archives import to_json

PURPOSE = "archive.estimate"


TOP = Option(name="top", help="how many of the biggest schools to show", parse=count(20), default="10")
NIGHT = Option(
    name="date", help="a night, YYYY-MM-DD: without the schools that the inventory excludes", parse=parse_date
)
MEASURE = Option(
    name="measure", help="measure now, by pretending to archive two schools, though there are records", default=False
)
GIGABYTES = Option(name="gigabytes", help="also say how long this many GB of live rows would take", parse=count(200))
GIGABYTE = 1000**3  # bytes


def _from_records(environment: Environment, measure: bool) -> bool:
    """Return True if there are records to estimate from, so that nothing is measured."""
    if measure:
        return False
    with databases_of(environment, PURPOSE) as databases:
        return bool(rates.recorded(databases.master))


@task(PURPOSE, TOP, NIGHT, MEASURE, GIGABYTES, JSON, *ACTS, runs_on=Role.DEBUG, anywhere=_from_records)
def estimate(
    environment: Environment, top: int, date: date | None, measure: bool, gigabytes: int | None, json: bool
) -> None:
    """Estimate the biggest schools, and the time to archive and restore them, from statistics and earlier times."""
    with databases_of(environment, PURPOSE) as databases:
        tenants, samples = sizes.read(databases), rates.recorded(databases.master)
        in_sets = deletes_in_bulk(databases)
    if measure or not samples:
        samples = _measured(environment, tenants.tenants)
    chosen = filter_at(environment, date) if date else TenantFilter()
    result = estimate_of(
        [tenant for tenant in tenants.tenants if chosen.takes(tenant.tenant)],
        rates.rates(samples),
        top,
        tenants.analyzed_at,
        workers=workers_of(environment),
        in_sets=in_sets,
        of_bytes=gigabytes * GIGABYTE if gigabytes else None,
    )
    show([to_json(result.to_json())] if json else lines(databases.model.tenant.noun, result))


def workers_of(environment: Environment) -> int:
    """Return how many prepare archives in a run over many schools, if it is started on this machine."""
    return (environment.queue and environment.queue.workers) or os.cpu_count() or 1


def _measured(environment: Environment, tenants: Sequence[TenantSize]) -> list[ArchiveSample]:
    year = environment.school_year(datetime.now(environment.zone).date())
    with open_archiver(environment, PURPOSE) as archiver:
        return rates.measure(archiver, tenants, year)


def lines(noun: str, estimate: Estimate) -> Iterator[str | TextTable]:
    """Yield an estimate as a table, and what it rests on; pure."""
    every = estimate.all_tenants
    columns = (noun, "rows", "live", "tarball", "archive", "restore")
    rows = [_row(f"{tenant.tenant.id} {tenant.tenant.name}", expected) for tenant, expected in estimate.biggest]
    rows.append(_row(f"all {every.tenants}, one after the other", every))
    yield TextTable(columns, rows, numbers=columns[1:])
    yield f"All of them have about {_heads(every.heads)}."
    extract, verify, delete = map(_time, (every.extract, every.verify, every.delete))
    yield f"Of the time to archive all of them: extract {extract}, verify {verify}, delete {delete}."
    yield f"inv archive.all, with {many(estimate.workers, 'worker')}: about {_time(estimate.together)}."
    if asked := estimate.of_bytes:
        yield (
            f"{size(asked.bytes)} of live rows would be about {asked.rows:,} rows, {_heads(asked.heads)}, and "
            f"{size(asked.size)} of tarballs: about {_time(asked.together)} in one run."
        )
    yield f"Rests on {_statistics(estimate.analyzed_at)}, and for the times on {_samples(noun, estimate.rates)}."


def _row(name: str, expected: Expected) -> tuple[str, ...]:
    figures = f"{expected.rows:,}", size(expected.bytes), size(expected.size)
    return name, *figures, _time(expected.archive), _time(expected.restore)


def _heads(heads: Mapping[str, int]) -> str:
    """Return how many there are of each: 1,377 classrooms, 30,000 students."""
    return ", ".join(f"{count:,} {name}" for name, count in heads.items()) or "no parts that are counted"


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds < 60 else clock_span(timedelta(seconds=seconds))


def _statistics(analyzed_at: datetime | None) -> str:
    return f"statistics of {analyzed_at:%Y-%m-%d %H:%M} UTC or later" if analyzed_at else "statistics of unknown age"


def _samples(noun: str, rates: Rates) -> str:
    if rates.delete is not None:
        return f"{many(rates.samples, 'record')} (a restore is taken to last as long as its proof)"
    return (
        f"pretending to archive {many(rates.samples, noun)} just now: without the way to the store and without "
        "deleting, which only a record tells"
    )


tasks = (estimate,)
