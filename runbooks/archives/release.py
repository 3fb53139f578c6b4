"""Restored schools given back to the monthly run: the task `inv archive.release`."""

from __future__ import annotations

from invoke.context import Context

from archiver.records.holds import release as give_back
from archiver.runs.setup import archiver as open_archiver
from errors import UsageError
from formatting import many
from runbooks.cli.task import ENV, load_environment, parse_id, task
from runbooks.engine.live.console import say

HELP = {
    "school": "the school's id",
    "all": "every school that is left alone",
    "env": ENV,
    "yes-production": "say it where the environment is production",
}


@task(positional=["school"], instead={"school": "all"}, help=HELP)
def release(
    context: Context,
    school: str,
    all: bool = False,  # noqa: A002 - the option's name
    env: str = "",
    yes_production: bool = False,
) -> None:
    """Let the monthly run take a restored school's rows again; until then it leaves the school alone."""
    if school and all:
        raise UsageError("Name a school, or --all; not both.")
    tenant_id = None if all else parse_id(school, "school")
    environment = load_environment(env, yes_production=yes_production)
    with open_archiver(environment, f"archive.release {school or '--all'}") as archiver:
        released = give_back(archiver.databases.master, tenant_id)
    if tenant_id and not released:
        raise UsageError(f"School {tenant_id} is not left alone by the monthly run.")
    if not released:
        say("No school is left alone by the monthly run.")
    elif all:
        say(f"{many(len(released), 'school')} released: the next monthly run takes them")
    else:
        say(f"school {tenant_id} released: the next monthly run takes it")


tasks = (release,)
