"""Upkeep of the product's databases: the tasks under `inv databases.…`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from invoke.collection import Collection
from invoke.exceptions import Exit

from archiver.delete.empty_feeds import empty_feeds
from archiver.postgres.databases import Databases, exclusive_lock_in
from archiver.runs.setup import databases_of, upkeep_sessions
from archiver.runs.upkeep import VacuumOutcome, drop_unused, undone
from archiver.runs.upkeep import vacuum as vacuum_tables
from archiver.vacuum import feeds, rewrite, strays
from archiver.vacuum.feeds import Feed
from archiver.vacuum.rewrite import BloatFinding, Upkeep
from archiver.vacuum.strays import Stray
from errors import CutoverError, ExitCode, UsageError
from formatting import many, size
from inventory.load import refuse_if_down
from inventory.model import Database, Environment
from runbooks.cli.confirm import confirmed
from runbooks.cli.options import ACTS, CONFIRM, DRY_RUN, JSON, Option
from runbooks.cli.outcomes import Results
from runbooks.cli.parse import parse_span
from runbooks.cli.task import task
from runbooks.cli.text import upkeep as text_upkeep
from runbooks.engine.live.console import clean, say, say_wrapped
from runbooks.engine.live.interrupt import second_interrupt_exits
from runbooks.upkeep import backup
from runbooks.upkeep.free_disk import free_disk

DATABASE = Option(name="database", help="the inventory's name of one database", unset="all in turn")
ALL = Option(name="all", help="rewrite every table, not only bloated ones", default=False)
QUIET = Option(
    name="quiet",
    help="drop only tables that were not written for so long: 30m, 26h or 7d",
    parse=parse_span,
    default="7d",
)
STAYING = (
    "The lines above name what uses them. Where the time of the last write is unknown, inv databases.vacuum analyzes; "
    "then wait --quiet."
)


@task(
    "databases.vacuum",
    *(DATABASE, ALL, DRY_RUN.but(help="measure and show; rewrite and analyze nothing"), CONFIRM, *ACTS),
)
def vacuum(environment: Environment, database: str, all_: bool, dry_run: bool, confirm: str) -> None:
    """Measure each table and rewrite what is bloated, within the free disk; step 9 of the night does so too."""
    databases = _chosen(environment, database)
    refuse_if_down(environment)
    if not dry_run:
        confirmed(environment, confirm, "rewrite its tables")
    with second_interrupt_exits():
        done = [_vacuum(environment, chosen, every=all_, dry_run=dry_run) for chosen in databases]
    if any(undone(outcome) for outcomes in done for outcome in outcomes):
        raise Exit(code=ExitCode.FAILED)


def _refuse_json_alone(json: bool, dry_run: bool) -> None:
    if json and not dry_run:
        raise UsageError("--json shows what is there: add --dry-run.")


@task(
    "databases.truncate-feeds",
    DRY_RUN.but(help="show rows and bytes; empty nothing"),
    JSON.but(help="with --dry-run: one line of JSON"),
    *(CONFIRM, *ACTS),
    before=_refuse_json_alone,
)
def truncate_feeds(environment: Environment, dry_run: bool, json: bool, confirm: str) -> None:
    """Empty the tables that the catalog calls feeds: they are in no archive, and their ids continue."""
    with databases_of(environment, "databases.truncate-feeds") as databases:
        tables = feeds.look(databases)
        say(text_upkeep.feeds_json(tables) if json else "\n".join(text_upkeep.feed_lines(tables)))
        if not dry_run:
            confirmed(environment, confirm, "empty these tables")
            _truncate(databases, tables)


def _truncate(databases: Databases, tables: Sequence[Feed]) -> None:
    for name, _ in databases.names_and_kinds():
        of_database = [feed for feed in tables if feed.database == name]
        if of_database:
            with exclusive_lock_in(databases.session(name)):
                empty_feeds(databases.session(name), of_database, truncate_published=databases.truncate_published)
    for line in text_upkeep.emptied_lines(tables, feeds.look(databases)):
        say(line)


@task(
    "databases.drop-strays",
    *(DATABASE, QUIET, DRY_RUN.but(help="show rows, bytes and what uses them; drop nothing"), CONFIRM, *ACTS),
)
def drop_strays(environment: Environment, database: str, quiet: timedelta, dry_run: bool, confirm: str) -> None:
    """Drop the tables that the catalog calls strays, with their sequences; keep and report those in use."""
    names = {chosen.name for chosen in _chosen(environment, database)}
    with databases_of(environment, "databases.drop-strays") as databases:
        catalog = databases.model.catalog
        kinds = {name: kind for name, kind in databases.names_and_kinds() if name in names}
        tables = {name: strays.look(databases.session(name), catalog, kind) for name, kind in kinds.items()}
        for name, of_database in tables.items():
            say("\n".join(text_upkeep.stray_lines(name, of_database, quiet)))
        if not dry_run and any(tables.values()):
            confirmed(environment, confirm, "drop what is not in use")
            left = [_drop(databases, name, of_database, quiet) for name, of_database in tables.items() if of_database]
            if any(left):
                raise CutoverError(f"{many(sum(left), 'stray')} not dropped.", hint=STAYING)


def _drop(databases: Databases, name: str, tables: Sequence[Stray], quiet: timedelta) -> int:
    """Drop what a database does not use, and return how many tables stay."""
    session = databases.session(name)
    results = Results(text_upkeep.StrayWords(database=name), len(strays.droppable(tables, quiet)))
    with exclusive_lock_in(session):
        outcomes = drop_unused(session, tables, quiet, results.show)
    dropped = sum(1 for outcome in outcomes if not outcome.error)
    say(f"{name}: {dropped} of {many(len(tables), 'stray')} dropped")
    return len(tables) - dropped


def _chosen(environment: Environment, name: str) -> list[Database]:
    if name and name not in environment.databases:
        raise UsageError(f"--database: expected one of {', '.join(environment.databases)}, got {name!r}.")
    return [environment.databases[name]] if name else list(environment.databases.values())


def _vacuum(environment: Environment, database: Database, *, every: bool, dry_run: bool) -> list[VacuumOutcome]:
    with (
        free_disk(environment, database, say) as free,
        upkeep_sessions(environment, database, "databases.vacuum") as (session, watcher),
    ):
        upkeep = Upkeep(session=session, watcher=watcher, free=free, every=every)
        findings = rewrite.look(upkeep)
        say(f"{database.name}: {text_upkeep.found_line(upkeep, findings)}")
        work = _preview if dry_run else _rewrite
        return work(upkeep, findings, database.name)


def _preview(upkeep: Upkeep, findings: Sequence[BloatFinding], name: str) -> list[VacuumOutcome]:
    for finding in findings:
        say(clean(f"{name} {text_upkeep.would_line(upkeep, finding)}"))
    free = upkeep.free()
    if free is not None:
        say(f"{name}: {size(free)} of disk space free")
    return []


def _rewrite(upkeep: Upkeep, findings: Sequence[BloatFinding], name: str) -> list[VacuumOutcome]:
    words = text_upkeep.VacuumWords(upkeep=upkeep, database=name)
    results = Results(words, len(findings), items=findings)
    with exclusive_lock_in(upkeep.session):
        outcomes = vacuum_tables(upkeep, findings, lambda line: say(f"{name} {line}"), results.show)
    say_wrapped(words.summary(outcomes))
    return outcomes


namespace = Collection("databases", vacuum, truncate_feeds, drop_strays, *backup.tasks)
