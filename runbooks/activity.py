"""Activity of past months out of the live product, and back: the tasks under `inv activity.…`."""

from __future__ import annotations

import datetime
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from invoke.collection import Collection

from archiver.delete.throttle import Throttle
from archiver.records import slice_record
from archiver.records.cutoff import MonthName, Span, end_of, month_due, parse_month
from archiver.runs.monthly import archive_activity, shards_of
from archiver.runs.monthly_restore import restore_month, tenants_of_month
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of
from errors import AbortedError
from inventory.model import Environment, Role
from runbooks.cli.options import ACTS, IDENTITY, JSON_LINES, PRETEND, PRETEND_RESTORE, READS, SCHOOL, Option
from runbooks.cli.outcomes import Results
from runbooks.cli.parse import count, parse_date, parse_size, parse_span
from runbooks.cli.tables import show
from runbooks.cli.task import task
from runbooks.cli.text import months as months_text
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import say

MONTH = Option(
    name="month",
    help="the last month of the archived activity, YYYY-MM, as inv activity.list shows it",
    parse=lambda text, label: parse_month(text),
    required=True,
)
AS_OF = Option(name="as_of", help="as if it were this day, YYYY-MM-DD", parse=parse_date, unset="today")
MAX_LAG = Option(
    name="max_lag", help="pause while a standby has more than this of WAL to replay, such as 64MiB", parse=parse_size
)
RATE = Option(
    name="rate", help="the most rows to delete in a second, such as 2000", parse=count(2000), unset="no limit"
)
RUN_TIME = Option(
    name="run_time",
    help="begin nothing new after so long, such as 2h; the next run continues",
    parse=parse_span,
    unset="no limit",
)


@task(
    "activity.archive",
    *(AS_OF, MAX_LAG, RATE, RUN_TIME, *ACTS),
    PRETEND.but(help="up to the verification, from local files; store, delete and record nothing"),
    runs_on=Role.DEBUG,
)
def archive(
    environment: Environment,
    as_of: datetime.date | None,
    max_lag: int | None,
    rate: int | None,
    run_time: datetime.timedelta | None,
    pretend: bool,
) -> None:
    """Archive past months, to that before last, while the product is live; SIGTERM stops it cleanly."""
    throttle = Throttle(rate=rate, max_lag=max_lag, seconds=run_time.total_seconds() if run_time else None)
    span = span_at(environment, as_of or datetime.datetime.now(environment.zone).date())
    with open_archiver(environment, f"activity.archive {span.month}") as archiver, _until_sigterm(throttle.stop):
        say(months_text.span_line(span, environment.zone))
        words = months_text.month_words(archiver.model.tenant.noun, pretend=pretend)
        results = Results(words, len(shards_of(archiver)))
        outcomes = archive_activity(archiver, span, throttle, results.show, results.show_progress, pretend=pretend)
    results.settle(outcomes)
    if throttle.stop.is_set():
        raise AbortedError("Stopped by SIGTERM, between two transactions.", hint="The same command continues.")


@task(
    "activity.restore",
    *(MONTH, SCHOOL.but(help="only this school's id", positional=False, required=False)),
    *(PRETEND_RESTORE, IDENTITY, *ACTS),
    example="--month=2014-09",
    runs_on=Role.DEBUG,
)
def restore(environment: Environment, month: MonthName, school: str | None, pretend: bool, identity: str) -> None:
    """Bring a month's activity back, of all schools or of one; the monthly run then puts these schools on hold."""
    name = str(month)
    with open_archiver(environment, f"activity.restore {name}", identity=identity) as archiver:
        only = archiver.databases.key_typed(school) if school else None
        tenants = tenants_of_month(archiver, name, only)
        words = months_text.month_restore_words(archiver.model.tenant.noun, name, pretend=pretend)
        results = Results(words, len(tenants), items=tenants)
        outcomes = restore_month(archiver, name, tenants, results.show, pretend=pretend)
    results.settle(outcomes)


@task("activity.list", MONTH.but(required=False), *READS, JSON_LINES)
def list_(environment: Environment, month: MonthName | None, json: bool) -> None:
    """List the archives of activity: month, shard, schools, rows, size and location."""
    requested = str(month) if month else None
    with databases_of(environment, "activity.list") as databases:
        rows = [row for row in slice_record.summaries(databases.master) if requested in (None, row.month.month)]
    if json:
        show(to_json(row.to_json()) for row in rows)
    else:
        show([months_text.list_table(rows) if rows else "No activity is archived."])


def span_at(environment: Environment, day: datetime.date) -> Span:
    """Return the span that is due on a day."""
    month = month_due(day)
    year = environment.school_year(datetime.date(month.year, month.month, 1))
    return Span(month=month, year=year, before=end_of(month, environment.zone))


@contextmanager
def _until_sigterm(stop: threading.Event) -> Iterator[None]:
    """Set an event at SIGTERM while the block runs, instead of dying."""
    before = signal.signal(signal.SIGTERM, lambda number, frame: stop.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


namespace = Collection("activity", archive, restore, list_)
