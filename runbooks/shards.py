"""Shards merged, and split again: the tasks under `inv shards.…`."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from invoke.collection import Collection
from invoke.exceptions import Exit

from archiver.records import move_record
from archiver.records.move_record import Route
from archiver.reshard.merge_split import MERGE, SPLIT, move_all, refuse_invalid_route, tenants_to_move
from archiver.reshard.preview import preview_all
from archiver.reshard.shard_sizes import shard_sizes
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of
from errors import ExitCode
from inventory.model import Environment, Role
from runbooks.cli.call import Call
from runbooks.cli.options import ACTS, DRY_RUN, READS, Option
from runbooks.cli.outcomes import Results
from runbooks.cli.parse import QUOTED, each_once, parse_listed_word
from runbooks.cli.tables import show as show_parts
from runbooks.cli.task import task
from runbooks.cli.text import shards
from runbooks.engine.live.console import say
from runbooks.engine.model.actions import HttpGet
from runbooks.night.live_ports import Web
from runbooks.steps import maintenance

FROM = Option(name="from_", help="the shard that its schools leave, such as shard_2", required=True)
INTO = Option(name="into", help="the shard that they come to, such as shard_1", required=True)
ONLY = Option(
    name="schools",
    help=f"move only these, such as 13,14{QUOTED}; archives of their shard then come back where they did before",
    parse=each_once(parse_listed_word, "13,14"),
    unset="all",
)
NOT_KEPT_OFF = "Before the move: name a `fence` in the inventory, or switch maintenance mode on."
SHOWN = DRY_RUN.but(
    help="show each school's rows, their ids in the other shard, and what is in the way; change nothing"
)


def _refuse_unknown_shards(call: Call, environment: Environment, from_: str, into: str) -> None:
    verb = call.task.removeprefix("shards.")
    refuse_invalid_route(
        Route(verb=verb, source=from_, target=into), [database.name for database in environment.shards]
    )


@task(
    "shards.merge",
    *(FROM, INTO, ONLY, SHOWN, *ACTS),
    example="--from=shard_2 --into=shard_1",
    runs_on=Role.DEBUG,
    before=_refuse_unknown_shards,
)
def merge(environment: Environment, from_: str, into: str, schools: frozenset[str] | None, dry_run: bool) -> None:
    """Move all schools of a shard into another one, live, one by one; their archives come back there from then on."""
    work = _preview if dry_run else _move
    work(environment, Route(verb=MERGE, source=from_, target=into), schools or frozenset())


@task(
    "shards.split",
    FROM.but(help="the shard into which the other one was merged"),
    INTO.but(help="the shard that was merged"),
    *(ONLY, SHOWN, *ACTS),
    example="--from=shard_1 --into=shard_2",
    runs_on=Role.DEBUG,
    before=_refuse_unknown_shards,
)
def split(environment: Environment, from_: str, into: str, schools: frozenset[str] | None, dry_run: bool) -> None:
    """Move the schools of a merged shard back to it, with the ids that they had there."""
    work = _preview if dry_run else _move
    work(environment, Route(verb=SPLIT, source=from_, target=into), schools or frozenset())


@task("shards.show", *READS)
def show(environment: Environment) -> None:
    """Show each shard's schools, rows and bytes; which shards were merged, and which moves are unfinished."""
    with databases_of(environment, "shards.show") as databases:
        noun, left = databases.model.tenant.noun, move_record.half_moved(databases.master)
        show_parts([shards.shard_size_table(noun, shard_sizes(databases))])
    if left:
        raise Exit("\n".join(shards.half_moved_lines(noun, left)), code=ExitCode.FAILED)
    say(f"No {noun} is half moved.")


def _move(environment: Environment, route: Route, schools: frozenset[str]) -> None:
    with open_archiver(environment, f"shards.{route.verb} {route.source} {route.target}") as archiver:
        noun, only = archiver.model.tenant.noun, frozenset(map(archiver.databases.key_typed, schools))
        total = len(tenants_to_move(archiver.databases, route, only))
        results = Results(shards.move_words(noun, route), total)
        kept_off = partial(_in_maintenance, environment)
        outcomes = move_all(archiver, route, _year(environment), results.show, kept_off=kept_off, only=only)
    if route.verb == MERGE and not only:
        say(f"Archives of {route.source} come back into {route.target} from now on.")
    results.settle(outcomes)


def _preview(environment: Environment, route: Route, schools: frozenset[str]) -> None:
    with open_archiver(environment, f"shards.{route.verb} --dry-run {route.source} {route.target}") as archiver:
        noun, only = archiver.model.tenant.noun, frozenset(map(archiver.databases.key_typed, schools))
        total = len(tenants_to_move(archiver.databases, route, only))
        results = Results(shards.preview_words(noun, route), total)
        outcomes = preview_all(archiver, route, _year(environment), results.show, only)
        if archiver.fence is None and not _in_maintenance(environment):
            say(NOT_KEPT_OFF)
    results.settle(outcomes)


def _year(environment: Environment) -> int:
    """Return the school year of today, which the names of the archives of moves hold."""
    return environment.school_year(datetime.now(environment.zone).date())


def _in_maintenance(environment: Environment) -> bool:
    """Return True if the application serves no one."""
    app = environment.app
    return app is not None and Web().get(HttpGet(url=app.url)).code == maintenance.ON


namespace = Collection("shards", merge, split, show)
