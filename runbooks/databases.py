"""Upkeep of the product's databases: the tasks under `inv databases.…`."""

from __future__ import annotations

from collections.abc import Sequence

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.setup import upkeep_sessions
from archiver.upkeep import rewrite
from archiver.upkeep.rewrite import UNDONE, Finding, Outcome, Upkeep
from archiver.workplace import alone_in
from errors import ExitCode, UsageError
from inventory.load import refuse_if_down
from inventory.model import Database, Environment
from runbooks.engine.console import clean, say
from runbooks.engine.interrupt import twice_leaves
from runbooks.front import ENV, load_environment, task
from runbooks.units import size
from runbooks.upkeep import telling
from runbooks.upkeep.free_disk import free_disk

HELP = {
    "database": "the inventory's name of one; without it every one in turn",
    "all": "rewrite every table, not only what is bloated",
    "dry-run": "measure and show; rewrite and analyze nothing",
    "env": ENV,
    "yes-production": "say it where the environment is production",
}


@task(help=HELP)
def vacuum(
    context: Context,
    database: str = "",
    all: bool = False,  # noqa: A002 - the option's name
    dry_run: bool = False,
    env: str = "",
    yes_production: bool = False,
) -> None:
    """Measure each table and rewrite what is bloated, within the free disk; step 9 of the night does so too."""
    environment = load_environment(env, yes_production=yes_production, read_only=dry_run)
    databases = _chosen(environment, database)
    refuse_if_down(environment)
    with twice_leaves():
        done = [_vacuum(environment, one, every=all, dry_run=dry_run) for one in databases]
    if any(outcome.fate in UNDONE for outcomes in done for outcome in outcomes):
        raise Exit(code=ExitCode.FAILED)


def _chosen(environment: Environment, name: str) -> list[Database]:
    if name and name not in environment.databases:
        raise UsageError(f"--database: expected one of {', '.join(environment.databases)}, got {name!r}.")
    return [environment.databases[name]] if name else list(environment.databases.values())


def _vacuum(environment: Environment, database: Database, *, every: bool, dry_run: bool) -> list[Outcome]:
    with (
        free_disk(environment, database, say) as free,
        upkeep_sessions(environment, database, "databases.vacuum") as (session, watcher),
    ):
        upkeep = Upkeep(session=session, watcher=watcher, free=free, every=every)
        found = rewrite.look(upkeep)
        say(f"{database.name}: {telling.found_line(upkeep, found)}")
        work = _shown if dry_run else _done
        return work(upkeep, found, database.name)


def _shown(upkeep: Upkeep, found: Sequence[Finding], name: str) -> list[Outcome]:
    for one in found:
        say(clean(f"{name} {telling.would_line(upkeep, one)}"))
    free = upkeep.free()
    if free is not None:
        say(f"{name}: {size(free)} of its disk are free")
    return []


def _done(upkeep: Upkeep, found: Sequence[Finding], name: str) -> list[Outcome]:
    outcomes = []
    with alone_in(upkeep.session):
        for outcome in rewrite.vacuum(upkeep, found, lambda line: say(clean(f"{name} {line}"))):
            say(clean(f"{name} {telling.outcome_line(outcome)}"))
            outcomes.append(outcome)
    say(f"{name}: {telling.summary(outcomes)}")
    return outcomes


namespace = Collection("databases", vacuum)
