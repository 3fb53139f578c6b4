"""`inv archive.scope`: what a night deletes and by what, as this host has it; preflight compares it on every host."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

from archiver.estimate.written_rows import written_since
from archiver.postgres.databases import Databases
from archiver.records.night_tenants import NightTenants, night_tenants
from archiver.runs.setup import databases_of
from errors import Problems, UsageError
from formatting import first_few, many, plural
from inventory.figures import Figures
from inventory.load import with_lines
from inventory.model import Environment
from inventory.scope import inventory_digests, scope_of
from runbooks.archives.estimate import workers_of
from runbooks.archives.night_filter import filter_at
from runbooks.cli.options import JSON, NIGHT, READS, Option
from runbooks.cli.task import task
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import say
from runbooks.engine.model.history import History, read_history
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.reporting.figures_text import figure_lines
from runbooks.night.files import events_of

FILES = Option(name="files", help="only what files say; ask no database for schools", default=False, offline=True)
DUMP = "backups.dump"  # the step that proves a night's backups
COUNT = Option(name="count", help="count customers, rows and bytes, too, and say how long it takes", default=False)


def _refuse_count_of_files(files: bool, count: bool) -> None:
    if files and count:
        raise UsageError("--files asks no database, and --count counts what databases hold: leave one of them out.")


@task("archive.scope", NIGHT, FILES, COUNT, *READS, JSON, example="--date=2014-08-15", before=_refuse_count_of_files)
def scope(environment: Environment, date: datetime.date, files: bool, count: bool, json: bool) -> None:
    """Show what a night deletes, as this host has it: depth, exclusions, catalog, version, and how many schools."""
    own = scope_of(environment, environment.night(date))
    schools, figures = (None, None) if files else schools_of(environment, date, count=count)
    if json:
        inventory = inventory_digests(environment)
        more = to_plain(environment, date, schools) if schools else {}
        counted = {"figures": figures.to_json()} if figures else {}
        say(to_json({"scope": own.text, "digest": own.digest, "inventory": inventory, **more, **counted}))
        return
    say("\n".join([*own.lines, *(_line(schools) for schools in [schools] if schools)]))
    if figures:
        say("\n".join(figure_lines(figures, environment.zone)))
    if schools and (problems := problems_of(environment, date, schools)):
        raise Problems(f"The scope of the night {date} has mistakes:", problems)


def schools_of(environment: Environment, date: datetime.date, *, count: bool) -> tuple[NightTenants, Figures | None]:
    """Return the schools that a night takes in and leaves out, by the inventory's lists; with `count`, figures."""
    with databases_of(environment, f"archive.scope {date}") as databases:
        year = environment.school_year(date)
        schools = night_tenants(databases, year, date, filter_at(environment, date))
        return schools, _counted(environment, databases, date, schools) if count else None


def _counted(environment: Environment, databases: Databases, date: datetime.date, schools: NightTenants) -> Figures:
    from archiver.estimate import night_figures  # not at the top: a scope without figures counts nothing

    now, oldest = datetime.datetime.now(datetime.UTC), environment.night(date).backup_max_age
    figures = night_figures.count(
        databases,
        environment.night(date),
        schools,
        at=date,
        year=environment.school_year(date),
        now=now,
        workers=workers_of(environment),
    )
    if oldest is None:
        return figures
    backup = oldest_backup(read_history(events_of(environment, date.isoformat())))
    return replace(figures, written=written_since(databases, backup or now - oldest, seen=backup is not None))


def oldest_backup(history: History) -> datetime.datetime | None:
    """Return when the oldest backup of a night was taken; None while one is missing, or an older version saw it."""
    backups = [state for (step, _), state in history.tasks.items() if step == DUMP]
    times = [state.figures.get("finished_at") for state in backups if state.outcome is Outcome.DONE]
    stamps = [datetime.datetime.fromisoformat(time) for time in times if time]
    return min(stamps) if stamps and len(stamps) == len(backups) else None


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
    mistakes = [f"nights/{date}/{each.in_inventory}" for each in schools.unmatched]
    problems = [f"{environment.name}.yaml: {each}" for each in with_lines(environment, mistakes)]
    if not schools.taken:
        excluded = many(len(schools.excluded), schools.noun)
        problems.append(f"nights/{date}: expected {plural(schools.noun)} to archive, got none ({excluded} excluded)")
    return problems


def _line(schools: NightTenants) -> str:
    excluded = first_few([str(number) for number in schools.excluded]) or "none"
    taken = many(len(schools.taken), schools.noun)
    return f"{plural(schools.noun)} {schools.digest}: {taken} taken in; excluded: {excluded}"


tasks = (scope,)
