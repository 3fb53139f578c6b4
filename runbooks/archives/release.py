"""Restored schools released to the monthly run: the task `inv archive.release`."""

from __future__ import annotations

from archiver.records.holds import release as release_holds
from archiver.runs.setup import archiver as open_archiver
from errors import UsageError
from formatting import many
from inventory.model import Environment
from runbooks.cli.options import ACTS, SCHOOL_OR_ALL, Option
from runbooks.cli.task import task
from runbooks.engine.live.console import say

ALL = Option(name="all", help="every school on hold", default=False)


@task("archive.release", SCHOOL_OR_ALL, ALL, *ACTS, example="13")
def release(environment: Environment, school: str | None) -> None:
    """Release a restored school to the monthly run, which has it on hold until then."""
    with open_archiver(environment, f"archive.release {school or '--all'}") as archiver:
        key = archiver.databases.key_typed(school) if school else None
        released, noun = release_holds(archiver.databases.master, key), archiver.model.tenant.noun
    if school and not released:
        raise UsageError(f"{noun.capitalize()} {key} is not on hold.")
    if not released:
        say(f"No {noun} is on hold.")
    elif school is None:
        say(f"{many(len(released), noun)} released: the next monthly run archives them")
    else:
        say(f"{noun} {key} released: the next monthly run archives it")


tasks = (release,)
