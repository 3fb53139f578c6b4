"""Upkeep of the product's databases: the tasks under `inv databases.…`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.postgres.databases import Databases, exclusive_lock_in
from archiver.runs.setup import databases_of, upkeep_sessions
from archiver.vacuum import feeds, rewrite, strays
from archiver.vacuum.feeds import Feed
from archiver.vacuum.rewrite import UNDONE, BloatFinding, RewriteOutcome, Upkeep
from archiver.vacuum.strays import Stray
from errors import CutoverError, ExitCode, UsageError
from formatting import many, size
from inventory.load import refuse_if_down
from inventory.model import Database, Environment
from runbooks.cli.confirm import CONFIRM, confirmed
from runbooks.cli.task import ENV, load_environment, parse_span, task
from runbooks.cli.text import upkeep as text_upkeep
from runbooks.engine.live.console import clean, say
from runbooks.engine.live.interrupt import second_interrupt_exits
from runbooks.upkeep import backup
from runbooks.upkeep.free_disk import free_disk

HELP = {
    "database": "the inventory's name of one; without it every one in turn",
    "all": "rewrite every table, not only what is bloated",
    "dry-run": "measure and show; rewrite and analyze nothing",
    "env": ENV,
    "confirm": CONFIRM,
    "yes-production": "say it where the environment is production",
}

STAYING = (
    "What uses them is told above. Where nobody knows of writes, inv databases.vacuum analyzes; then wait --quiet."
)


@task(help=HELP)
def vacuum(
    context: Context,
    database: str = "",
    all: bool = False,  # noqa: A002 - the option's name
    dry_run: bool = False,
    env: str = "",
    confirm: str = "",
    yes_production: bool = False,
) -> None:
    """Measure each table and rewrite what is bloated, within the free disk; step 9 of the night does so too."""
    environment = load_environment(env, yes_production=yes_production, read_only=dry_run)
    databases = _chosen(environment, database)
    refuse_if_down(environment)
    if not dry_run:
        confirmed(environment, confirm, "rewrite its tables")
    with second_interrupt_exits():
        done = [_vacuum(environment, one, every=all, dry_run=dry_run) for one in databases]
    if any(outcome.fate in UNDONE for outcomes in done for outcome in outcomes):
        raise Exit(code=ExitCode.FAILED)


@task(
    name="truncate-feeds",
    help={**HELP, "dry-run": "show rows and bytes; empty nothing", "json": "with --dry-run: one line of JSON"},
)
def truncate_feeds(
    context: Context,
    dry_run: bool = False,
    json: bool = False,
    env: str = "",
    confirm: str = "",
    yes_production: bool = False,
) -> None:
    """Empty the tables that the catalog calls feeds: they are in no archive, and their ids go on."""
    if json and not dry_run:
        raise UsageError("--json shows what is there: add --dry-run.")
    environment = load_environment(env, yes_production=yes_production, read_only=dry_run)
    with databases_of(environment, "databases.truncate-feeds") as databases:
        found = feeds.look(databases)
        say(text_upkeep.feeds_json(found) if json else "\n".join(text_upkeep.feed_lines(found)))
        if not dry_run:
            confirmed(environment, confirm, "empty these tables")
            _truncate(databases, found)


def _truncate(databases: Databases, found: Sequence[Feed]) -> None:
    for name, _ in databases.names_and_kinds():
        of_database = [feed for feed in found if feed.database == name]
        if of_database:
            with exclusive_lock_in(databases.session(name)):
                feeds.truncate(databases.session(name), of_database)
    for line in text_upkeep.emptied_lines(found, feeds.look(databases)):
        say(line)


@task(
    name="drop-strays",
    help={
        **HELP,
        "quiet": "how long nobody must have written to a table: 30m, 26h or 7d; 7d if left out",
        "dry-run": "show rows, bytes and what uses them; drop nothing",
    },
)
def drop_strays(
    context: Context,
    database: str = "",
    quiet: str = "7d",
    dry_run: bool = False,
    env: str = "",
    confirm: str = "",
    yes_production: bool = False,
) -> None:
    """Drop the tables that the catalog calls strays, with their sequences; one that is used stays, and says by what."""
    still = parse_span(quiet, "--quiet")
    environment = load_environment(env, yes_production=yes_production, read_only=dry_run)
    wanted = {one.name for one in _chosen(environment, database)}
    with databases_of(environment, "databases.drop-strays") as databases:
        catalog = databases.model.catalog
        kinds = {name: kind for name, kind in databases.names_and_kinds() if name in wanted}
        found = {name: strays.look(databases.session(name), catalog, kind) for name, kind in kinds.items()}
        for name, those in found.items():
            say("\n".join(text_upkeep.stray_lines(name, those, still)))
        if not dry_run and any(found.values()):
            confirmed(environment, confirm, "drop what is not in use")
            left = [_drop(databases, name, those, still) for name, those in found.items() if those]
            if any(left):
                raise CutoverError(f"{many(sum(left), 'stray')} not dropped.", hint=STAYING)


def _drop(databases: Databases, name: str, found: Sequence[Stray], quiet: timedelta) -> int:
    """Drops what may go of a database; how many tables stay."""
    session, dropped = databases.session(name), 0
    with exclusive_lock_in(session):
        for stray, error in strays.drop_unused(session, found, quiet):
            say(clean(f"{name} {stray.table}: " + (f"FAILED, {error}" if error else "dropped")))
            dropped += not error
    say(f"{name}: {dropped} of {many(len(found), 'stray')} dropped")
    return len(found) - dropped


def _chosen(environment: Environment, name: str) -> list[Database]:
    if name and name not in environment.databases:
        raise UsageError(f"--database: expected one of {', '.join(environment.databases)}, got {name!r}.")
    return [environment.databases[name]] if name else list(environment.databases.values())


def _vacuum(environment: Environment, database: Database, *, every: bool, dry_run: bool) -> list[RewriteOutcome]:
    with (
        free_disk(environment, database, say) as free,
        upkeep_sessions(environment, database, "databases.vacuum") as (session, watcher),
    ):
        upkeep = Upkeep(session=session, watcher=watcher, free=free, every=every)
        found = rewrite.look(upkeep)
        say(f"{database.name}: {text_upkeep.found_line(upkeep, found)}")
        work = _shown if dry_run else _done
        return work(upkeep, found, database.name)


def _shown(upkeep: Upkeep, found: Sequence[BloatFinding], name: str) -> list[RewriteOutcome]:
    for one in found:
        say(clean(f"{name} {text_upkeep.would_line(upkeep, one)}"))
    free = upkeep.free()
    if free is not None:
        say(f"{name}: {size(free)} of its disk are free")
    return []


def _done(upkeep: Upkeep, found: Sequence[BloatFinding], name: str) -> list[RewriteOutcome]:
    outcomes = []
    with exclusive_lock_in(upkeep.session):
        for outcome in rewrite.vacuum(upkeep, found, lambda line: say(clean(f"{name} {line}"))):
            say(clean(f"{name} {text_upkeep.outcome_line(outcome)}"))
            outcomes.append(outcome)
    say(f"{name}: {text_upkeep.summary(outcomes)}")
    return outcomes


namespace = Collection("databases", vacuum, truncate_feeds, drop_strays, *backup.tasks)
