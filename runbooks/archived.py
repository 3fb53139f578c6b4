"""What is archived, looked at and kept: tasks under `inv archive.…` beside those that archive."""

from __future__ import annotations

import datetime
from dataclasses import asdict

from invoke.context import Context
from invoke.exceptions import Exit

from archiver import choice, records
from archiver.audit import audit as look_after
from archiver.setup import workplace
from archiver.tenants import Exclude
from errors import ExitCode
from inventory.model import Environment
from runbooks import telling
from runbooks.engine.console import say
from runbooks.front import ENV, load_environment, parse_date, parse_id, task
from runbooks.telling import to_json


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
    with workplace(environment, f"archive.audit {night}") as place:
        found = look_after(place, environment.school_year(night), night, excluded_at(environment, night))
    if json:
        say(to_json(asdict(found)))
        return
    say(telling.audit_text("school", found))
    if found.unarchived or found.left:
        raise Exit(code=ExitCode.FAILED)


@task(
    name="list",
    help={
        "env": ENV,
        "year": "only this school year, such as 2013",
        "customer": "only this customer's id",
        "json": "one JSON object a line",
    },
)
def list_(context: Context, env: str = "", year: str = "", customer: str = "", json: bool = False) -> None:
    """List what is archived."""
    of_year = parse_id(year, "year") if year else None
    of_customer = parse_id(customer, "customer") if customer else None
    with workplace(load_environment(env, read_only=True), "archive.list") as place:
        found = records.read_if_any(place.master, of_year, of_customer)
    for line in (to_json(record.to_json()) for record in found) if json else telling.record_lines(found):
        say(line)


@task(
    positional=["school"],
    help={"school": "the school's id", "env": ENV, "year": "where there are several", "json": "as JSON"},
)
def show(context: Context, school: str, env: str = "", year: str = "", json: bool = False) -> None:
    """Show a school's archive: the record, and rows and bytes of each table."""
    tenant_id, of_year = parse_id(school, "school"), parse_id(year, "year") if year else None
    with workplace(load_environment(env, read_only=True), f"archive.show {tenant_id}") as place:
        record = choice.one_to_show(place, tenant_id, of_year)
    for line in [to_json(record.to_json())] if json else telling.record_text("school", record):
        say(line)


def excluded_at(environment: Environment, night: datetime.date) -> Exclude:
    """Who is left alone on a night, by the inventory."""
    written = environment.nights.get(night)
    if written is None:
        return Exclude()
    return Exclude(tenants=frozenset(written.exclude.schools), customers=frozenset(written.exclude.customers))


tasks = (audit, list_, show)
