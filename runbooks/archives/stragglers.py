"""`inv archive.stragglers`: rows that the old warehouse lacks, of schools that a year's earlier nights left out."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any

from archiver.checks.newer_rows import NewerRows, newer_rows, timeless
from archiver.postgres import tenants
from archiver.records import archive_record
from archiver.records.state import State
from archiver.runs.setup import databases_of
from formatting import many
from inventory.load import load_catalog
from inventory.model import Environment
from runbooks.cli.options import JSON, NIGHT, READS
from runbooks.cli.tables import TextTable, show
from runbooks.cli.task import task
from runbooks.cli.text.archives import to_json
from runbooks.night.nights import last_load

MOST = 3  # tables that are named for a school


@task("archive.stragglers", NIGHT, *READS, JSON, example="--date=2014-08-22")
def stragglers(environment: Environment, date: datetime.date, json: bool) -> None:
    """Count the rows that the old warehouse lacks, of each school that the year's earlier nights left out."""
    since = last_load(environment, date)
    schools, uncounted = _counted(environment, date, since) if since else ([], ())
    if json:
        show([to_json(to_plain(schools, since))])
    else:
        show(lines(load_catalog(environment.catalog).tenant.noun, schools, since, uncounted))


def _counted(
    environment: Environment, date: datetime.date, since: datetime.datetime
) -> tuple[list[NewerRows], tuple[str, ...]]:
    """Return the live schools that are not archived yet, each with its newer rows, and the tables that can't tell."""
    with databases_of(environment, f"archive.stragglers {date}") as databases:
        year = environment.school_year(date)
        records = archive_record.read_if_any(databases.master, year)
        archived = {record.tenant_id for record in records if record.state is State.ARCHIVED}
        live = tenants.every(databases.master, databases.model.tenant)
        schools = [newer_rows(databases, tenant, since) for tenant in live if tenant.id not in archived]
        return schools, timeless(databases, live[0].shard) if live else ()


def to_plain(schools: Sequence[NewerRows], since: datetime.datetime | None) -> dict[str, Any]:
    """Return plain data: since when, and the rows of each school that has some."""
    rows = {str(school.tenant.id): school.total for school in schools if school.total}
    return {"since": since.isoformat() if since else None, "schools": rows, "rows": sum(rows.values())}


def lines(
    noun: str, schools: Sequence[NewerRows], since: datetime.datetime | None, uncounted: Sequence[str]
) -> Iterator[str | TextTable]:
    """Yield the schools as a table, and the sum. Pure."""
    if since is None:
        yield "No earlier night of the year has turned to the new warehouse: the old one still takes every row."
        return
    late = [school for school in schools if school.total]
    if late:
        yield TextTable((noun, "rows", "most of them in"), [_row(school) for school in late], numbers=("rows",))
    rows = many(sum(school.total for school in late), "row")
    yield f"The old warehouse lacks {rows} of {many(len(late), noun)}, written since {since:%Y-%m-%d %H:%M} UTC."
    if uncounted:
        yield f"Not counted, as the catalog names no time column of theirs: {', '.join(uncounted)}."


def _row(school: NewerRows) -> tuple[str, ...]:
    most = sorted(school.by_table.items(), key=lambda item: -item[1])[:MOST]
    tables = ", ".join(f"{table.partition('.')[2]} {rows:,}" for table, rows in most)
    return f"{school.tenant.id} {school.tenant.name}", f"{school.total:,}", tables


tasks = (stragglers,)
