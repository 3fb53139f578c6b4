"""Each step of a checklist as a task of its own, in one collection an area: `inv backups.dump`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from invoke.collection import Collection
from invoke.context import Context

from runbooks.cli.task import ENV, task
from runbooks.steps.context import Build

Perform = Callable[[str, str, str, str, bool], None]  # key, date, checklist, environment, whether production was said
HELP = {
    "date": "the night, YYYY-MM-DD",
    "checklist": "which one the night goes by; its own if left out, or else the first that has the step",
    "env": ENV,
    "yes-production": "say it where the environment is production",
}


def collections(steps: Iterable[Build], perform: Perform) -> tuple[Collection, ...]:
    """A collection for each area, with a task for each of its steps."""
    areas: dict[str, Collection] = {}
    for build in steps:
        area, name = build.key.split(".")
        areas.setdefault(area, Collection(area)).add_task(_task(build, name, perform), name=name)
    return tuple(areas.values())


def _task(build: Build, name: str, perform: Perform) -> Any:
    def alone(
        context: Context, date: str = "", checklist: str = "", env: str = "", yes_production: bool = False
    ) -> None:
        perform(build.key, date, checklist, env, yes_production)

    alone.__doc__ = f"{build.summary} Looks first; in the journal of that night."
    alone.__name__ = name.replace("-", "_")
    return task(help=HELP)(alone)
