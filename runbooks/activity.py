"""Activity of past months out of the live product, and back: the tasks under `inv activity.…`."""

from __future__ import annotations

import datetime
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.delete.throttle import Throttle
from archiver.records import slice_record
from archiver.records.cutoff import Span, end_of, month_due, parse_month
from archiver.runs.monthly import archive_activity
from archiver.runs.monthly_restore import restore_month
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of
from errors import AbortedError
from inventory.model import Environment
from runbooks.cli.debug_host import IDENTITY, belongs_elsewhere, forward
from runbooks.cli.outcomes import settle
from runbooks.cli.task import ENV, load_environment, parse_count, parse_date, parse_id, parse_size, parse_span, task
from runbooks.cli.text import months as told
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import say

HELP = {
    "env": ENV,
    "as-of": "as if it were this day, YYYY-MM-DD; today if left out",
    "max-lag": "pause while a standby has more than this of WAL to replay, such as 64MiB",
    "rate": "rows a second that may go, such as 2000; as fast as it goes if left out",
    "run-time": "begin nothing new after so long, such as 2h; the next run goes on",
    "month": "the last month of what went, YYYY-MM, as inv activity.list shows it",
    "school": "only this school's id",
    "identity": IDENTITY,
    "json": "one JSON object a line",
    "here": "do it on this machine, not on the debug host",
    "yes-production": "say it where the environment is production",
}


@task(help={**HELP, "pretend": "up to the verification, from local files; store, delete and record nothing"})
def archive(
    context: Context,
    as_of: str = "",
    max_lag: str = "",
    rate: str = "",
    run_time: str = "",
    pretend: bool = False,
    env: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Archive what ended by the end of the month before last, while the product is live; SIGTERM stops it cleanly."""
    throttle = Throttle(
        rate=parse_count(rate, "--rate", 2000) if rate else None,
        max_lag=parse_size(max_lag, "--max-lag") if max_lag else None,
        seconds=parse_span(run_time, "--run-time").total_seconds() if run_time else None,
    )
    day = parse_date(as_of, "--as-of") if as_of else None
    environment = load_environment(env, yes_production=yes_production)
    if belongs_elsewhere(environment, here=here):
        words = {"as_of": as_of, "max_lag": max_lag, "rate": rate, "run_time": run_time}
        raise Exit(code=forward(environment, "activity.archive", **words, pretend=pretend))
    span = span_at(environment, day or datetime.datetime.now(environment.zone).date())
    with open_archiver(environment, f"activity.archive {span.month}") as archiver, _until_sigterm(throttle.stop):
        say(told.span_line(span, environment.zone))
        line = partial(told.shard_line, archiver.model.tenant.noun, pretend=pretend)
        shards = archive_activity(archiver, span, throttle, lambda shard: say(line(shard)), pretend=pretend)
    settle(shards, told.summary(shards, pretend=pretend), alone=False)
    if throttle.stop.is_set():
        raise AbortedError("Stopped by SIGTERM, between two transactions.", hint="The same command goes on.")


@task(help={**HELP, "pretend": "fetch and verify, show what would be loaded; load nothing"})
def restore(
    context: Context,
    month: str = "",
    school: str = "",
    pretend: bool = False,
    identity: str = "",
    env: str = "",
    here: bool = False,
    yes_production: bool = False,
) -> None:
    """Bring a month's activity back, of all schools or of one; monthly runs then leave these schools alone."""
    of_month, tenant_id = str(parse_month(month)), parse_id(school, "--school") if school else None
    environment = load_environment(env, yes_production=yes_production)
    if belongs_elsewhere(environment, here=here):
        words = {"month": month, "school": school, "identity": identity}
        raise Exit(code=forward(environment, "activity.restore", **words, pretend=pretend))
    with open_archiver(environment, f"activity.restore {of_month}", identity=identity) as archiver:
        line = partial(told.returned_line, archiver.model.tenant.noun, of_month, pretend=pretend)
        outcomes = restore_month(archiver, of_month, tenant_id, lambda outcome: say(line(outcome)), pretend=pretend)
    settle(outcomes, told.returned_summary(outcomes, pretend=pretend), alone=False)


@task(name="list", help=HELP)
def list_(context: Context, month: str = "", env: str = "", json: bool = False) -> None:
    """List the archives of activity: month, shard, schools, rows, size and where each lies."""
    wanted = str(parse_month(month)) if month else None
    with databases_of(load_environment(env, read_only=True), "activity.list") as databases:
        found = [one for one in slice_record.summaries(databases.master) if wanted in (None, one.month.month)]
    for text in (to_json(one.to_json()) for one in found) if json else told.list_lines(found):
        say(text)
    if not found and not json:
        say("No activity is archived.")


def span_at(environment: Environment, day: datetime.date) -> Span:
    """What is due on a day."""
    month = month_due(day)
    year = environment.school_year(datetime.date(month.year, month.month, 1))
    return Span(month=month, year=year, before=end_of(month, environment.zone))


@contextmanager
def _until_sigterm(stop: threading.Event) -> Iterator[None]:
    """Sets an event at SIGTERM while the block runs, in place of dying."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


namespace = Collection("activity", archive, restore, list_)
