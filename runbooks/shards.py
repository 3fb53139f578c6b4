"""Shards merged, and split again: the tasks under `inv shards.…`."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.records import move_record
from archiver.records.move_record import Course
from archiver.reshard.merge_split import MERGE, SPLIT, carry, chosen, refuse_words
from archiver.reshard.shard_sizes import holdings
from archiver.runs.setup import archiver as open_archiver
from archiver.runs.setup import workplace
from errors import ExitCode
from inventory.model import Environment
from runbooks.cli.debug_host import belongs_elsewhere, forward
from runbooks.cli.outcomes import settle, teller
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
    _carry(Course(verb=MERGE, source=from_, target=into), env, here=here, yes_production=yes_production)


@task(help={**HELP, "from": "the shard into which the other one was merged", "into": "the shard that was merged"})
def split(
    context: Context, from_: str = "", into: str = "", env: str = "", here: bool = False, yes_production: bool = False
) -> None:
    """Move the schools that a merge brought back to their shard, with the ids that they had there."""
    _carry(Course(verb=SPLIT, source=from_, target=into), env, here=here, yes_production=yes_production)


@task(help={"env": ENV})
def show(context: Context, env: str = "") -> None:
    """Show what lies on each shard: schools, rows and bytes; which were merged, and what is half moved."""
    with workplace(load_environment(env, read_only=True), "shards.show") as place:
        noun, left = place.model.tenant.noun, move_record.half_moved(place.master)
        for line in shards.holding_lines(noun, holdings(place)):
            say(line)
    if left:
        raise Exit("\n".join(shards.half_moved_lines(noun, left)), code=ExitCode.FAILED)
    say(f"No {noun} is half moved.")


def _carry(course: Course, env: str, *, here: bool, yes_production: bool) -> None:
    environment = load_environment(env, yes_production=yes_production)
    refuse_words(course, [database.name for database in environment.shards])
    if belongs_elsewhere(environment, here=here):
        ways: dict[str, str | bool] = {"from": course.source, "into": course.target}
        raise Exit(code=forward(environment, f"shards.{course.verb}", **ways))
    year = environment.school_year(datetime.now(environment.zone).date())
    with open_archiver(environment, f"shards.{course.verb} {course.source} {course.target}") as archiver:
        noun = archiver.model.tenant.noun
        tell = teller(len(chosen(archiver.place, course)), partial(shards.moved_line, noun), alone=False)
        outcomes = carry(archiver, course, year, tell, kept_off=partial(_in_maintenance, environment))
    if course.verb == MERGE:
        say(f"Archives of {course.source} come back into {course.target} from now on.")
    settle(outcomes, shards.moved_summary(noun, course, outcomes), alone=False)


def _in_maintenance(environment: Environment) -> bool:
    """Whether the application answers nobody."""
    return Web().get(HttpGet(url=environment.app.url)).code == maintenance.ON


namespace = Collection("shards", merge, split, show)
