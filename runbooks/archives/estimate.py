"""Which schools are the biggest, and how long they will take: `inv archive.estimate`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from invoke.context import Context
from invoke.exceptions import Exit

from archiver.estimate import rates, sizes
from archiver.estimate.estimate import Estimate, Expected
from archiver.estimate.estimate import estimate as work_out
from archiver.estimate.rates import ArchiveSample, Rates
from archiver.estimate.sizes import TenantSize
from archiver.postgres.tenants import Exclude
from archiver.runs.archive_many import deletes_in_bulk
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of
from formatting import clock_span, many, size
from inventory.model import Environment
from runbooks.archives.lists import excluded_at
from runbooks.cli.debug_host import belongs_elsewhere, forward
from runbooks.cli.task import ENV, Addresses, load_environment, parse_count, parse_date, task
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import clean, say

PURPOSE = "archive.estimate"
ROW = "{:<34} {:>11}  {:>7}  {:>7}  {:>8}  {:>8}  {:>8}  {:>8}  {:>8}"


@task(
    help={
        "top": "how many of the biggest schools to show",
        "date": "a night, YYYY-MM-DD: without the schools that the inventory leaves out then",
        "measure": "measure now, by pretending to archive two schools, though there are records",
        "json": "one line of JSON",
        "env": ENV,
        "here": "measure on this machine, not on the debug host",
        "yes-production": "say it where the environment is production and something is measured",
    }
)
def estimate(
    context: Context,
    top: str = "10",
    date: str = "",
    measure: bool = False,
    json: bool = False,
    env: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Estimate the biggest schools, and how long archiving and restoring takes, from statistics and earlier times."""
    number, night = parse_count(top, "--top", 20), parse_date(date) if date else None
    environment = load_environment(env, read_only=True)
    with databases_of(environment, PURPOSE) as databases:
        found, samples = sizes.read(databases), rates.recorded(databases.master)
        in_sets = deletes_in_bulk(databases)
    if measure or not samples:
        load_environment(env, yes_production=yes_production, addresses=Addresses.UNASKED)
        if belongs_elsewhere(environment, here=here):
            raise Exit(code=forward(environment, PURPOSE, top=top, date=date, measure=True, json=json))
        samples = _measured(environment, found.tenants)
    left_out = excluded_at(environment, night) if night else Exclude()
    wanted = [one for one in found.tenants if not left_out.leaves_out(one.tenant)]
    worked_out = work_out(
        wanted,
        rates.rates(samples),
        number,
        found.analyzed_at,
        workers=(environment.queue and environment.queue.workers) or os.cpu_count() or 1,
        in_sets=in_sets,
    )
    for line in [to_json(worked_out.to_json())] if json else lines("school", worked_out):
        say(line)


def _measured(environment: Environment, tenants: Sequence[TenantSize]) -> list[ArchiveSample]:
    year = environment.school_year(datetime.now(environment.zone).date())
    with open_archiver(environment, PURPOSE) as archiver:
        return rates.measure(archiver, tenants, year)


def lines(noun: str, found: Estimate) -> Iterator[str]:
    """An estimate as a table, and what it rests on; pure."""
    heads = ("rows", "live", "tarball", "archive", "extract", "verify", "delete", "restore")
    yield ROW.format("", *heads)
    for one, itself in found.biggest:
        yield _line(f"{noun} {one.tenant.id} {clean(one.tenant.name)}", itself)
    yield _line(f"all {found.all_tenants.tenants}, one after the other", found.all_tenants)
    yield f"inv archive.all, with {many(found.workers, 'worker')}: about {_time(found.together)}."
    yield f"Rests on {_statistics(found.analyzed_at)}, and for the times on {_samples(noun, found.rates)}."


def _line(who: str, itself: Expected) -> str:
    times = (itself.archive, itself.extract, itself.verify, itself.delete, itself.restore)
    return ROW.format(who[:34], f"{itself.rows:,}", size(itself.bytes), size(itself.size), *map(_time, times))


def _time(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    return f"{seconds:.1f} s" if seconds < 60 else clock_span(timedelta(seconds=seconds))


def _statistics(analyzed_at: datetime | None) -> str:
    return f"statistics of {analyzed_at:%Y-%m-%d %H:%M} UTC or later" if analyzed_at else "statistics of unknown age"


def _samples(noun: str, found: Rates) -> str:
    if found.delete is not None:
        return f"{many(found.samples, 'record')} (a restore is taken to last as long as its proof)"
    return (
        f"pretending to archive {many(found.samples, noun)} just now: without the way to the store and without "
        "deleting, which only a record tells"
    )


tasks = (estimate,)
