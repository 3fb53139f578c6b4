"""`inv archive.scope`: what a night deletes and by what, as this host has it; preflight compares it on every host."""

from __future__ import annotations

import datetime
from typing import Any

from archiver.records.night_tenants import NightTenants, night_tenants
from archiver.runs.setup import databases_of
from errors import Problems
from formatting import first_few, many
from inventory.model import Environment
from inventory.scope import inventory_digests, scope_of
from runbooks.archives.lists import filter_at
from runbooks.cli.options import JSON, NIGHT, READS, Option
from runbooks.cli.task import task
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import say

FILES = Option(name="files", help="only what files say; ask no database for schools", default=False, offline=True)


@task("archive.scope", NIGHT, FILES, *READS, JSON, example="--date=2014-08-15")
def scope(environment: Environment, date: datetime.date, files: bool, json: bool) -> None:
    """Show what a night deletes, as this host has it: depth, exclusions, catalog, version, and how many schools."""
    own = scope_of(environment, environment.night(date))
    schools = None if files else schools_of(environment, date)
    if json:
        inventory = inventory_digests(environment)
        more = to_plain(environment, date, schools) if schools else {}
        say(to_json({"scope": own.text, "digest": own.digest, "inventory": inventory, **more}))
        return
    say("\n".join([*own.lines, *(_line(schools) for schools in [schools] if schools)]))
    if schools and (problems := problems_of(environment, date, schools)):
        raise Problems(f"The scope of the night {date} has mistakes:", problems)


def schools_of(environment: Environment, date: datetime.date) -> NightTenants:
    """Return the schools that a night takes in and leaves out, by the inventory's lists."""
    with databases_of(environment, f"archive.scope {date}") as databases:
        return night_tenants(databases, environment.school_year(date), date, filter_at(environment, date))


def to_plain(environment: Environment, date: datetime.date, schools: NightTenants) -> dict[str, Any]:
    """Return plain data: how many schools a night takes in, which it leaves out, a digest of both, and all mistakes."""
    return {
        "taken": len(schools.taken),
        "excluded": schools.excluded,
        "schools": schools.digest,
        "problems": problems_of(environment, date, schools),
    }


def problems_of(environment: Environment, date: datetime.date, schools: NightTenants) -> list[str]:
    """Return every id on the night's lists that matches nothing, as a typo does; and an empty scope."""
    where = f"{environment.name}.yaml: nights/{date}"
    problems = [f"{where}/{each.in_inventory}" for each in schools.unmatched]
    if not schools.taken:
        excluded = many(len(schools.excluded), "school")
        problems.append(f"nights/{date}: expected schools to archive, got none ({excluded} excluded)")
    return problems


def _line(schools: NightTenants) -> str:
    excluded = first_few([str(number) for number in schools.excluded]) or "none"
    taken = many(len(schools.taken), "school")
    return f"schools {schools.digest}: {taken} taken in; excluded: {excluded}"


tasks = (scope,)
