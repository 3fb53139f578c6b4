"""Lists of records and indexed ids: tasks under `inv archive.…` that open no archive."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable
from dataclasses import asdict
from functools import partial
from typing import Protocol, TypeVar

from invoke.exceptions import Exit

from archiver.catalog.model import Model
from archiver.catalog.naming import singular
from archiver.checks.audit import audit as audit_night
from archiver.checks.night_progress import progress
from archiver.checks.unreferenced import unreferenced_objects
from archiver.records import archive_record, audit_log, id_index, resolve, retained_rows, slice_record
from archiver.records import purge_record as purge_records
from archiver.records.log_heads import head_stored
from archiver.records.state import State
from archiver.runs.setup import databases_of
from archiver.store.bucket import Bucket
from errors import ExitCode, UsageError
from inventory.model import Environment
from inventory.scope import Scope, scope_of
from runbooks.archives.night_filter import filter_at
from runbooks.cli.options import (
    JSON,
    JSON_LINES,
    NIGHT,
    READS,
    SCHOOL,
    SCOPE,
    YEAR,
    YEAR_OF_SEVERAL,
    Option,
)
from runbooks.cli.parse import member_of, parse_date, parse_key
from runbooks.cli.tables import TextTable, show
from runbooks.cli.task import task
from runbooks.cli.text import archives, months, records
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import say


class _Recorded(Protocol):
    def to_json(self) -> dict[str, object]:
        """Return plain data."""


Row = TypeVar("Row", bound=_Recorded)
ONLY_CUSTOMER = Option(name="customer", help="only this customer's id", parse=parse_key)
STATE = Option(
    name="state",
    help=f"only this state: {', '.join(state.value for state in State)}",
    parse=member_of(State),
)
SHARD = Option(name="shard", help="only what came from this shard, by its inventory name")
ONLY_NIGHT = Option(name="night", help="only what this night archived, YYYY-MM-DD", parse=parse_date)
NAME = Option(name="name", help="only schools with this in their name, in any case")
UNREFERENCED = Option(
    name="unreferenced", help="instead, the objects of the store that no record references", default=False
)
TABLE = Option(name="table", help="student, user, or any table whose ids are indexed", positional=True, required=True)
ID = Option(name="id", help="the row's id", parse=parse_key, positional=True, required=True)


def scope_at(environment: Environment, date: datetime.date) -> Scope:
    """Return this host's scope of a night; UsageError if the inventory has no such night."""
    return scope_of(environment, environment.night(date))


@task(
    "archive.audit",
    *(NIGHT, SCOPE, *READS, JSON.but(help="one line of JSON; the exit code then only says whether it could look")),
    example="--date=2014-08-15",
    scope=scope_at,
)
def audit(environment: Environment, date: datetime.date, json: bool) -> None:
    """Compare a night's records with databases and store: is every school archived, and are any of their rows left?"""
    with databases_of(environment, f"archive.audit {date}") as databases:
        bucket, year = Bucket(environment.store), environment.school_year(date)
        written = environment.nights.get(date)
        depth = written.depth if written else None
        result = audit_night(databases, bucket, year, date, filter_at(environment, date), depth)
    if json:
        say(to_json(asdict(result)))
        return
    say(archives.audit_text(databases.model.tenant.noun, result))
    if result.unarchived or result.missing or result.left or result.elsewhere or result.otherwise or result.dangling:
        raise Exit(code=ExitCode.FAILED)


@task("archive.status", NIGHT, *READS, JSON, example="--date=2014-08-15")
def status(environment: Environment, date: datetime.date, json: bool) -> None:
    """Show the progress of a night's archiving, from any machine: schools, rows, bytes, rate, and running workers."""
    with databases_of(environment, f"archive.status {date}") as databases:
        result = progress(databases, environment.school_year(date), date, filter_at(environment, date))
    show([to_json(result.to_json())] if json else records.progress_lines(databases.model.tenant.noun, result))


def _refuse_filters_of_unreferenced(
    unreferenced: bool,
    year: int | None,
    customer: str | None,
    state: State | None,
    shard: str,
    night: datetime.date | None,
    name: str,
) -> None:
    if unreferenced and (year or customer or state or shard or night or name):
        raise UsageError("--unreferenced lists objects without a record: no other option can choose among them.")


@task(
    "archive.list",
    *(YEAR, ONLY_CUSTOMER, STATE, SHARD, ONLY_NIGHT, NAME, UNREFERENCED, *READS, JSON_LINES),
    before=_refuse_filters_of_unreferenced,
)
def list_(
    environment: Environment,
    year: int | None,
    customer: str | None,
    state: State | None,
    shard: str,
    night: datetime.date | None,
    name: str,
    unreferenced: bool,
    json: bool,
) -> None:
    """List what is archived."""
    with databases_of(environment, "archive.list") as databases:
        if unreferenced:
            objects = unreferenced_objects(Bucket(environment.store), databases)
            _print(objects, records.unreferenced_table, json=json)
        else:
            rows = archive_record.read_if_any(
                databases.master,
                year=year,
                customer_id=databases.customer_typed(customer) if customer else None,
                state=state,
                night=night,
                shard=shard or None,
                name=name,
            )
            _print(rows, partial(records.record_table, databases.model.tenant.noun), json=json)


@task("archive.show", SCHOOL, YEAR_OF_SEVERAL, *READS, JSON.but(help="as JSON"), example="13")
def show_archive(environment: Environment, school: str, year: int | None, json: bool) -> None:
    """Show a school's archive: the record, rows and bytes of each table, and which rows stayed live."""
    with databases_of(environment, f"archive.show {school}") as databases:
        key = databases.key_typed(school)
        record = resolve.one_to_show(databases, key, year)
        entries = len(audit_log.entries(databases.master, key, record.year))
        left = retained_rows.of_record(databases.master, record)
        slices = slice_record.of_tenant(databases.master, key)
    text = (
        *records.record_text(databases.model.tenant.noun, record, _groups(databases.model), entries),
        *records.retained_lines(databases.model.tenant.noun, left),
        *months.slice_lines(slices),
    )
    show([to_json({**record.to_json(), "left_live": [asdict(row) for row in left]})] if json else text)


@task(
    "archive.find",
    *(TABLE, ID, *READS, JSON.but(help="one JSON object a line, one for each archive")),
    example="student 4711",
)
def find(environment: Environment, table: str, id_: str, json: bool) -> None:
    """Find the archives that hold a student, a user or another row, by its id."""
    with databases_of(environment, f"archive.find {table}") as databases:
        of_table = resolve.table_with_ids(databases, table)
        is_root = of_table == databases.model.root.table
        key = databases.key_typed(id_) if is_root else databases.row_typed(singular(of_table), of_table, id_)
        holders, unindexed = resolve.holders(databases, of_table, key), id_index.missing(databases.master, of_table)
        purges = purge_records.holding(databases.master, databases.model.catalog, of_table, key)
        with head_stored(Bucket(environment.store), databases.master):
            audit_log.log_reading(databases.master, "find", [*holders, *purges], {"table": of_table, "id": key})
    lines = records.found_lines(databases.model.tenant.noun, f"{table} {id_}", holders, unindexed, purges)
    show((to_json(record.to_json()) for record in holders) if json else lines)


def _groups(model: Model) -> dict[str, list[str]]:
    """Return the catalog's tables by their groups, both in the order of the catalog."""
    groups: dict[str, list[str]] = {}
    for database, tables in model.catalog.databases.items():
        for name, table in tables.items():
            groups.setdefault(table.group, []).append(f"{database}.{name}")
    return groups


def _print(rows: Iterable[Row], table: Callable[[Iterable[Row]], TextTable], *, json: bool) -> None:
    show((to_json(row.to_json()) for row in rows) if json else [table(rows)])


tasks = (audit, status, list_, show_archive, find)
