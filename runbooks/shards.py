"""Shards merged, and split again: the tasks under `inv shards.…`."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.records import move_record
from archiver.records.move_record import Route
from archiver.reshard.merge_split import MERGE, SPLIT, move_all, refuse_invalid_route, tenants_to_move
from archiver.reshard.shard_sizes import shard_sizes
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import databases_of
from errors import ExitCode
from inventory.model import Environment
from runbooks.cli.debug_host import belongs_elsewhere, forward
from runbooks.cli.outcomes import result_printer, settle
from runbooks.cli.task import ENV, load_environment, task
from runbooks.cli.text import shards
from runbooks.engine.live.console import say
from runbooks.engine.model.actions import HttpGet
from runbooks.night.live_ports import Web
from runbooks.steps import maintenance

HELP = {
    "env": ENV,
    "from": "the shard that its schools leave, such as shard_2",
    "into": "the shard that they come to, such as shard_1",
    "here": "do it on this machine, not on the debug host",
    "yes-production": "say it where the environment is production",
}


@task(help=HELP)
def merge(
    context: Context, from_: str = "", into: str = "", env: str = "", here: bool = False, yes_production: bool = False
) -> None:
    """Move all schools of a shard into another one, live, one by one; their archives come back there from then on."""
    _carry(Route(verb=MERGE, source=from_, target=into), env, here=here, yes_production=yes_production)


@task(help={**HELP, "from": "the shard into which the other one was merged", "into": "the shard that was merged"})
def split(
    context: Context, from_: str = "", into: str = "", env: str = "", here: bool = False, yes_production: bool = False
) -> None:
    """Move the schools that a merge brought back to their shard, with the ids that they had there."""
    _carry(Route(verb=SPLIT, source=from_, target=into), env, here=here, yes_production=yes_production)


@task(help={"env": ENV})
def show(context: Context, env: str = "") -> None:
    """Show what lies on each shard: schools, rows and bytes; which were merged, and what is half moved."""
    with databases_of(load_environment(env, read_only=True), "shards.show") as databases:
        noun, left = databases.model.tenant.noun, move_record.half_moved(databases.master)
        for line in shards.shard_size_lines(noun, shard_sizes(databases)):
            say(line)
    if left:
        raise Exit("\n".join(shards.half_moved_lines(noun, left)), code=ExitCode.FAILED)
    say(f"No {noun} is half moved.")


def _carry(route: Route, env: str, *, here: bool, yes_production: bool) -> None:
    environment = load_environment(env, yes_production=yes_production)
    refuse_invalid_route(route, [database.name for database in environment.shards])
    if belongs_elsewhere(environment, here=here):
        ways: dict[str, str | bool] = {"from": route.source, "into": route.target}
        raise Exit(code=forward(environment, f"shards.{route.verb}", **ways))
    year = environment.school_year(datetime.now(environment.zone).date())
    with open_archiver(environment, f"shards.{route.verb} {route.source} {route.target}") as archiver:
        noun = archiver.model.tenant.noun
        tell = result_printer(
            len(tenants_to_move(archiver.databases, route)), partial(shards.moved_line, noun), alone=False
        )
        outcomes = move_all(archiver, route, year, tell, kept_off=partial(_in_maintenance, environment))
    if route.verb == MERGE:
        say(f"Archives of {route.source} come back into {route.target} from now on.")
    settle(outcomes, shards.moved_summary(noun, route, outcomes), alone=False)


def _in_maintenance(environment: Environment) -> bool:
    """Whether the application answers nobody."""
    return Web().get(HttpGet(url=environment.app.url)).code == maintenance.ON


namespace = Collection("shards", merge, split, show)
