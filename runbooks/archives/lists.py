"""What is archived, as records, log and index say it: tasks under `inv archive.…` that open no archive."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from invoke.context import Context
from invoke.exceptions import Exit

from archiver.catalog.model import Model
from archiver.checks.audit import audit as look_after
from archiver.checks.night_progress import progress
from archiver.checks.unreferenced import unreferenced_objects as unnamed
from archiver.postgres.tenants import Exclude
from archiver.records import archive_record, audit_log, id_index, resolve, retained_rows, slice_record
from archiver.records import purge_record as purge_records
from archiver.records.archive_record import ArchiveState
from archiver.runs.setup import databases_of
from archiver.store.bucket import Bucket
from errors import ExitCode, UsageError
from inventory.model import Environment
from runbooks.cli.task import ENV, load_environment, parse_date, parse_id, parse_year, task
from runbooks.cli.text import archives, months, records
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import say

YEAR = "only this school year, such as 2013"


@task(
    help={
        "date": "the night, YYYY-MM-DD",
        "env": ENV,
        "json": "one line of JSON; the exit code then only says whether it could look",
    }
)
def audit(context: Context, date: str = "", env: str = "", json: bool = False) -> None:
    """Hold a night's records against the live databases: who is archived, and is any of their rows left?"""
    night = parse_date(date)
    environment = load_environment(env, read_only=True)
    with databases_of(environment, f"archive.audit {night}") as databases:
        found = look_after(databases, environment.school_year(night), night, excluded_at(environment, night))
    if json:
        say(to_json(asdict(found)))
        return
    say(archives.audit_text("school", found))
    if found.unarchived or found.left:
        raise Exit(code=ExitCode.FAILED)


@task(
    help={
        "date": "the night, YYYY-MM-DD",
        "env": ENV,
        "json": "one line of JSON",
    }
)
def status(context: Context, date: str = "", env: str = "", json: bool = False) -> None:
    """Show how far the archiving of a night is, from any machine: schools, rows, bytes, rate, and who is at work."""
    night = parse_date(date)
    environment = load_environment(env, read_only=True)
    with databases_of(environment, f"archive.status {night}") as databases:
        found = progress(databases, environment.school_year(night), night, excluded_at(environment, night))
    say(to_json(found.to_json()) if json else "\n".join(records.progress_lines("school", found)))


@task(
    name="list",
    help={
        "env": ENV,
        "year": YEAR,
        "customer": "only this customer's id",
        "state": f"only this state: {', '.join(state.value for state in ArchiveState)}",
        "shard": "only what came from this shard, by its inventory name",
        "night": "only what this night archived, YYYY-MM-DD",
        "name": "only schools with this in their name, in any case",
        "unreferenced": "instead, the objects of the store that no record names",
        "json": "one JSON object a line",
    },
)
def list_(
    context: Context,
    env: str = "",
    year: str = "",
    customer: str = "",
    state: str = "",
    shard: str = "",
    night: str = "",
    name: str = "",
    unreferenced: bool = False,
    json: bool = False,
) -> None:
    """List what is archived."""
    if unreferenced and (year or customer or state or shard or night or name):
        raise UsageError("--unreferenced lists objects that no record names: there is nothing else to choose them by.")
    wanted: dict[str, Any] = {
        "year": parse_year(year),
        "customer_id": parse_id(customer, "--customer") if customer else None,
        "state": parse_state(state) if state else None,
        "night": parse_date(night, "--night") if night else None,
    }
    environment = load_environment(env, read_only=True)
    with databases_of(environment, "archive.list") as databases:
        if unreferenced:
            stray = unnamed(Bucket(environment.store), databases)
            _print(to_json(stored.to_json()) if json else records.unreferenced_line(stored) for stored in stray)
        else:
            found = archive_record.read_if_any(databases.master, **wanted, shard=shard or None, name=name)
            _print((to_json(record.to_json()) for record in found) if json else records.record_lines(found))


@task(
    positional=["school"],
    help={"school": "the school's id", "env": ENV, "year": "where there are several", "json": "as JSON"},
)
def show(context: Context, school: str, env: str = "", year: str = "", json: bool = False) -> None:
    """Show a school's archive: the record, rows and bytes of each table, and which rows stayed live."""
    tenant_id, of_year = parse_id(school, "school"), parse_year(year)
    with databases_of(load_environment(env, read_only=True), f"archive.show {tenant_id}") as databases:
        record = resolve.one_to_show(databases, tenant_id, of_year)
        entries = len(audit_log.entries(databases.master, tenant_id, record.year))
        left, task_state = (
            retained_rows.of_record(databases.master, record),
            slice_record.of_tenant(databases.master, tenant_id),
        )
    text = (
        *records.record_text("school", record, _groups(databases.model), entries),
        *records.retained_lines(left),
        *months.slice_lines(task_state),
    )
    _print([to_json({**record.to_json(), "left_live": [asdict(row) for row in left]})] if json else text)


@task(
    positional=["table", "id"],
    help={
        "table": "what it is: student, user, or any table whose ids are kept",
        "id": "its id",
        "env": ENV,
        "json": "one JSON object a line, one for each archive",
    },
)
def find(context: Context, table: str, id: str, env: str = "", json: bool = False) -> None:  # noqa: A002 - the word that is typed
    """Find the archives that hold a student, a user or another row, by its id."""
    row_id = parse_id(id, "id")
    with databases_of(load_environment(env, read_only=True), f"archive.find {table}") as databases:
        of_table = resolve.table_with_ids(databases, table)
        found, unindexed = id_index.holders(databases.master, of_table, row_id), id_index.missing(databases.master)
        purges = purge_records.holding(databases.master, databases.model.catalog, of_table, row_id)
    lines = records.found_lines("school", f"{table} {row_id}", found, unindexed, purges)
    _print((to_json(record.to_json()) for record in found) if json else lines)


@task(
    help={
        "school": "only this school's id",
        "env": ENV,
        "year": YEAR,
        "act": "only this act, such as archive, restore, verify or drop",
        "json": "one JSON object a line",
    }
)
def log(context: Context, school: str = "", env: str = "", year: str = "", act: str = "", json: bool = False) -> None:
    """Show who did what to which school, when, with counts and digests; oldest first."""
    tenant_id, of_year = parse_id(school, "--school") if school else None, parse_year(year)
    with databases_of(load_environment(env, read_only=True), "archive.log") as databases:
        entries = audit_log.entries(databases.master, tenant_id, of_year, act)
    if not entries and not json:
        say("The log holds no such entry.")
    _print(to_json(entry.to_json()) if json else records.log_line("school", entry) for entry in entries)


def parse_state(text: str) -> ArchiveState:
    """A record's state; UsageError for anything else."""
    try:
        return ArchiveState(text)
    except ValueError:
        states = ", ".join(state.value for state in ArchiveState)
        raise UsageError(f"--state: expected one of {states}; got {text!r}.") from None


def excluded_at(environment: Environment, night: datetime.date) -> Exclude:
    """Who is left alone on a night, by the inventory."""
    written = environment.nights.get(night)
    if written is None:
        return Exclude()
    return Exclude(tenants=frozenset(written.exclude.schools), customers=frozenset(written.exclude.customers))


def _groups(model: Model) -> dict[str, list[str]]:
    """The catalog's tables by their groups, both in the order in which they are written there."""
    groups: dict[str, list[str]] = {}
    for database, tables in model.catalog.databases.items():
        for name, table in tables.items():
            groups.setdefault(table.group, []).append(f"{database}.{name}")
    return groups


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        say(line)


tasks = (audit, status, list_, show, find, log)
